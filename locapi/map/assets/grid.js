const LABEL_PX = 70;
const SCALE_PX = 30;

/** Lines of latitude and longitude with their degrees, shown while there is no base map. */
class Grid {
  constructor(map) {
    this.map = map;
    map.createPane("grid").style.zIndex = 250;
    map.createPane("degrees").style.zIndex = 260;
    this.style = { renderer: L.canvas({ pane: "grid" }), interactive: false, weight: 1 };
    this.group = L.layerGroup().addTo(map);
    this.visible = true;
    // Also while it moves, so that no label leaves the edge that it belongs to.
    map.on("move moveend resize", () => this.draw());
  }

  setColour(colour) {
    this.style.color = colour;
    this.draw();
  }

  show(visible) {
    this.visible = visible;
    this.draw();
  }

  draw() {
    this.group.clearLayers();
    if (!this.visible || !this.map._loaded) return;
    const bounds = this.map.getBounds();
    const [west, east] = [bounds.getWest(), bounds.getEast()];
    const [south, north] = [Math.max(bounds.getSouth(), -85), Math.min(bounds.getNorth(), 85)];
    const step = this._step((east - west) / this.map.getSize().x);
    const digits = Math.max(0, Math.ceil(-Math.log10(step)));
    for (let n = Math.ceil(west / step); n * step <= east; n++) {
      const long = n * step;
      const shown = ((((long + 180) % 360) + 360) % 360) - 180;
      this._line([[south, long], [north, long]], [south, long], shown, digits, "E", "W");
    }
    for (let n = Math.ceil(south / step); n * step <= north; n++) {
      this._line([[n * step, west], [n * step, east]], [n * step, west], n * step, digits, "N", "S");
    }
  }

  /** Return the degrees between two lines, given the degrees of a pixel. */
  _step(degrees) {
    const steps = [45, 30, 10, 5, 2, 1];
    for (let part = 0.5; part > 1e-5; part /= 10) steps.push(part, part * 0.4, part * 0.2);
    return steps.findLast((step) => step / degrees >= 110) ?? steps[0];
  }

  _line(latLngs, end, degrees, digits, plus, minus) {
    L.polyline(latLngs, this.style).addTo(this.group);
    const label = document.createElement("span");
    const letter = degrees % 180 === 0 ? "" : degrees > 0 ? plus : minus;
    label.textContent = `${Math.abs(degrees).toFixed(digits)}° ${letter}`.trim();
    const className = `degrees degrees-${plus}`;
    const [size, at] = [this.map.getSize(), this.map.latLngToContainerPoint(end)];
    // It would be cut off at the right edge, or lie under the scale.
    if (plus === "E" ? size.x - at.x < LABEL_PX : size.y - at.y < SCALE_PX) return;
    const icon = L.divIcon({ html: label, className, iconSize: null });
    L.marker(end, { icon, pane: "degrees", interactive: false, keyboard: false }).addTo(this.group);
  }
}
