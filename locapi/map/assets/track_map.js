// The map, drawn by Leaflet. Knows nothing of the page's controls.

const MAX_CIRCLES = 1_000;
const CIRCLES_ZOOM = 13; // further out, circles only hide the lines
const NEAR_PX = 14;
const MAX_RADIUS_M = 10_000_000; // a larger circle is not round on this map
const THEMES = {
  light: { edge: "#3f4650", grid: "#c3c9d1" },
  dark: { edge: "#b4bdc8", grid: "#414b57" },
};

class TrackMap {
  constructor(element, minutes) {
    this.minutes = minutes;
    const zoomAnimation = !matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = L.map(element, { minZoom: 1, maxZoom: 19, zoomSnap: 0.5, zoomAnimation, fadeAnimation: false, zoomControl: false });
    L.control.zoom({ position: "topright" }).addTo(this.map); // the degrees are at the left edge
    this.map.attributionControl.setPrefix('<a href="https://leafletjs.com">Leaflet</a>');
    L.control.scale({ imperial: false }).addTo(this.map);
    this.grid = new Grid(this.map);
    // Each has its own canvas, so moving a mark does not redraw the lines.
    this.lines = this._group("lines", 400);
    this.circles = this._group("circles", 410);
    this.marks = this._group("marks", 420);
    this.tooltip = L.tooltip({ direction: "top", offset: [0, -8], opacity: 1, className: "minute" });
    this.withCircles = true;
    this._project();
    this.map.on("moveend", () => this._drawCircles());
  }

  _group(name, zIndex) {
    this.map.createPane(name).style.zIndex = zIndex;
    const group = L.layerGroup().addTo(this.map);
    group.style = { renderer: L.canvas({ pane: name, padding: 0.3 }), interactive: false };
    return group;
  }

  /** Compute the position of each minute on the map of the whole world. */
  _project() {
    const count = this.minutes.data.minutes;
    [this.x, this.y] = [new Float64Array(count), new Float64Array(count)];
    for (let at = 0; at < count; at++) {
      const point = this.map.options.crs.latLngToPoint(this._position(at), 0);
      [this.x[at], this.y[at]] = [point.x, point.y];
    }
  }

  _position(at) {
    return L.latLng(this.minutes.latitude(at), this.minutes.drawnLongitude(at));
  }

  _colour(speedClass) {
    return this.minutes.data.speeds[speedClass][1];
  }

  setTheme(name) {
    this.theme = THEMES[name];
    this.grid.setColour(this.theme.grid);
    for (const group of [this.lines, this.circles, this.marks]) {
      group.eachLayer((layer) => layer.options.edged && layer.setStyle({ color: this.theme.edge }));
    }
  }

  /** Replace what is drawn by some tracks, and fit the view to them. */
  draw(tracks) {
    this.tracks = tracks;
    this.shown = new Set(tracks.map((track) => track.number));
    for (const group of [this.lines, this.marks]) group.clearLayers();
    this._fit();
    const { edges, byClass, lone } = this._lines();
    const line = (latLngs, style) =>
      L.polyline(latLngs, { ...this.lines.style, ...style }).addTo(this.lines);
    line(edges, { color: this.theme.edge, weight: 6, edged: true });
    byClass.forEach((lines, speedClass) => line(lines, { color: this._colour(speedClass), weight: 4 }));
    // All edges first, so the colours of dots that lie close together stay visible.
    const edge = { ...this.lines.style, radius: 5, stroke: false, color: this.theme.edge, fillOpacity: 1, edged: true };
    for (const at of lone) L.circleMarker(this._position(at), edge).addTo(this.lines);
    for (const at of lone) this._dot(at, 4, { ...this.lines.style, stroke: false }).addTo(this.lines);
  }

  /** Return all lines, lines by speed class, and the minutes that no line joins. */
  _lines() {
    const edges = [];
    const byClass = this.minutes.data.speeds.map(() => []);
    const lone = [];
    for (const { first, end } of this.tracks) {
      let last = null;
      for (let at = first; at < end; at++) {
        const position = this._position(at);
        if (this._joined(at)) {
          const from = this._position(at - 1);
          if (at === first || !this._joined(at - 1)) edges.push([from]);
          edges.at(-1).push(position);
          const speedClass = this.minutes.speedClass(at - 1, at);
          if (speedClass !== last) byClass[speedClass].push([from]);
          byClass[speedClass].at(-1).push(position);
          last = speedClass;
        } else {
          last = null;
          if (!this._joined(at + 1)) lone.push(at);
        }
      }
    }
    return { edges, byClass, lone };
  }

  /** Return whether a line joins a minute to the one before. */
  _joined(at) {
    const { segment, trackOf } = this.minutes;
    return at > 0 && at < segment.length && segment[at] === segment[at - 1] &&
      this.shown.has(trackOf[at - 1]) && this.shown.has(trackOf[at]);
  }

  _dot(at, radius, style) {
    return L.circleMarker(this._position(at), {
      radius, weight: 1, color: this.theme.edge, edged: true,
      fillColor: this._colour(this.minutes.speedClass(at)), fillOpacity: 1, ...style,
    });
  }

  _circle(at, style) {
    const radius = Math.min(this.minutes.radius(at), MAX_RADIUS_M);
    return L.circle(this._position(at), {
      radius, weight: 1, color: this.theme.edge, edged: true, ...style,
    });
  }

  /** Draw each minute in view with its accuracy, unless there are too many. */
  _drawCircles() {
    this.circles.clearLayers();
    const inView = this.withCircles && this.map.getZoom() >= CIRCLES_ZOOM ? this._inView() : null;
    const drawn = inView?.length <= MAX_CIRCLES;
    if (drawn) {
      const { style } = this.circles;
      for (const at of inView) {
        this._circle(at, { ...style, opacity: 0.6, fillOpacity: 0.08 }).addTo(this.circles);
      }
      for (const at of inView) this._dot(at, 3, style).addTo(this.circles);
    }
    this.map.fire("circles", { missing: this.withCircles && !drawn });
  }

  _inView() {
    const bounds = this.map.getBounds().pad(0.1);
    const { crs } = this.map.options;
    const least = crs.latLngToPoint(bounds.getNorthWest(), 0);
    const most = crs.latLngToPoint(bounds.getSouthEast(), 0);
    const found = [];
    for (const { first, end } of this.tracks) {
      for (let at = first; at < end; at++) {
        const [x, y] = [this.x[at], this.y[at]];
        if (x >= least.x && x <= most.x && y >= least.y && y <= most.y) found.push(at);
      }
    }
    return found;
  }

  setCircles(on) {
    this.withCircles = on;
    this._drawCircles();
  }

  /** Return the minute nearest to a position, or null if none is near. */
  nearest(latLng) {
    const point = this.map.options.crs.latLngToPoint(latLng, 0);
    let least = (NEAR_PX / this.map.getZoomScale(this.map.getZoom(), 0)) ** 2;
    let nearest = null;
    for (const { first, end } of this.tracks) {
      for (let at = first; at < end; at++) {
        const squared = (this.x[at] - point.x) ** 2 + (this.y[at] - point.y) ** 2;
        if (squared <= least) [least, nearest] = [squared, at];
      }
    }
    return nearest;
  }

  /** Show a tooltip at a minute, or hide it if `at` is null. */
  showTooltip(at, content) {
    if (at === null) this.tooltip.close();
    else this.tooltip.setLatLng(this._position(at)).setContent(content).openOn(this.map);
  }

  /** Mark the minutes of the current time. */
  mark(found) {
    this.marks.clearLayers();
    for (const at of found) {
      this._circle(at, { ...this.marks.style, weight: 2, fillOpacity: 0.12 }).addTo(this.marks);
      this._dot(at, 8, { ...this.marks.style, weight: 3 }).addTo(this.marks);
    }
  }

  /** Move the map if none of these minutes is in view. */
  follow(found) {
    const bounds = this.map.getBounds();
    if (found.length && !found.some((at) => bounds.contains(this._position(at)))) {
      this.map.panTo(this._position(found[0]), { animate: false });
    }
  }

  _fit() {
    const bounds = L.latLngBounds([]);
    for (const { first, end } of this.tracks) {
      for (let at = first; at < end; at++) bounds.extend(this._position(at));
    }
    this.map.fitBounds(bounds, { padding: [30, 30], maxZoom: 17, animate: false });
  }

  /** Show or hide the base map; call `failed` once if a tile cannot be fetched. */
  setTiles(on, failed) {
    this.tiles?.remove();
    this.grid.show(!on);
    if (!on) return;
    this.tiles = L.tileLayer(this.minutes.data.tiles, {
      maxZoom: 19,
      referrerPolicy: "strict-origin-when-cross-origin", // required by the tile servers
      attribution: '© <a href="https://www.openstreetmap.org/copyright">OpenStreetMap</a> contributors',
    });
    this.tiles.once("tileerror", failed);
    this.tiles.addTo(this.map);
  }
}
