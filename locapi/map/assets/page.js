// The page's controls and tables. Data becomes text, never HTML.

const TILES_NOTE = "Loaded from openstreetmap.org, which can see the area that you look at.";
const MAX_LISTED = 3; // users at one minute
const PLAY_STEPS = 600; // so playing the whole time line takes a minute at most
const PLAY_MS = 100;
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

class Page {
  constructor(minutes) {
    this.minutes = minutes;
    this.layers = new TrackMap(element("map"), minutes);
    this.playing = null;
    this._fillChoice();
    this._fillTracks();
    this._fillLegend();
    element("tiles-note").textContent = TILES_NOTE;
    this._listen();
    this._setTheme(systemIsDark.matches);
    this._choose();
  }

  _listen() {
    const { map } = this.layers;
    element("user").addEventListener("change", () => {
      this._fillDays();
      this._choose();
    });
    element("day").addEventListener("change", () => this._choose());
    element("circles").addEventListener("change", (event) => this.layers.setCircles(event.target.checked));
    element("tiles").addEventListener("change", (event) => this._setTiles(event.target.checked));
    element("time").addEventListener("input", () => {
      this._pause();
      this._scrub();
    });
    element("play").addEventListener("click", () => (this.playing ? this._pause() : this._play()));
    element("theme").addEventListener("click", () => this._setTheme(!this.dark));
    systemIsDark.addEventListener("change", (event) => this._setTheme(event.matches));
    map.on("mousemove", (event) => this._showTooltip(this.layers.nearest(event.latlng)));
    map.on("mouseout", () => this._showTooltip(null));
    map.on("click", (event) => {
      const at = this.layers.nearest(event.latlng);
      this._showTooltip(at);
      this._select(at);
    });
    map.on("circles", ({ missing }) => {
      element("circles-note").textContent = missing ? "Zoom in to see them." : "";
    });
    this._listenToRows();
  }

  /** The rows of a table are one Tab stop; arrow keys move between them. */
  _listenToRows() {
    for (const id of ["tracks", "minutes"]) {
      element(id).addEventListener("keydown", (event) => {
        const buttons = [...element(id).querySelectorAll("button")];
        const place = buttons.indexOf(document.activeElement);
        const next = { ArrowDown: place + 1, ArrowUp: place - 1, Home: 0, End: buttons.length - 1 }[event.key];
        if (place < 0 || next === undefined) return;
        event.preventDefault();
        buttons[next]?.focus();
      });
      element(id).addEventListener("focusin", ({ target }) => {
        for (const each of element(id).querySelectorAll("button[tabindex='0']")) each.tabIndex = -1;
        target.tabIndex = 0;
      });
    }
  }

  // The selection.

  _fillChoice() {
    const { users } = this.minutes;
    fillSelect("user", "All users", users.map((user, number) => [number, user]));
    element("user").parentElement.hidden = users.length < 2;
    this._fillDays();
  }

  _fillDays() {
    const user = element("user").value;
    const tracks = this.minutes.tracks.filter((track) => user === "" || track.user === Number(user));
    const days = [...new Set(tracks.map((track) => track.day))].sort((one, other) => one - other);
    fillSelect("day", "All days", days.map((day) => [day, date(day)]));
  }

  /** Show the tracks of the selected user and day. */
  _choose() {
    const [user, day] = [element("user").value, element("day").value];
    const tracks = this.minutes.tracks.filter(
      (track) => (user === "" || track.user === Number(user)) && (day === "" || track.day === Number(day)),
    );
    this._pause();
    this._showTooltip(null);
    this.layers.draw(tracks);
    this.tracks = tracks;
    this.times = this.minutes.times(tracks);
    element("time").max = this.times.length - 1;
    element("time").value = 0;
    this._say(tracks);
    this._markTracks();
    this._fillMinutes();
    this._scrub();
  }

  _say(tracks) {
    const count = tracks.reduce((sum, track) => sum + track.end - track.first, 0);
    const users = new Set(tracks.map((track) => track.user)).size;
    const counted = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;
    element("summary").textContent =
      `${counted(tracks.length, "track")} of ${counted(users, "user")}: ${counted(count, "minute")}, ` +
      `${clock(this.times[0])} to ${clock(this.times.at(-1))} UTC`;
  }

  // The tables.

  _fillTracks() {
    fillTable("tracks", this.minutes.tracks, (track) => {
      const [from, to] = [track.first, track.end - 1].map((at) => clock(this.minutes.minute[at]).slice(11));
      const user = this.minutes.users[track.user];
      const cells = [user, date(track.day), from, to, (track.end - track.first).toLocaleString("en")];
      const tr = row(cells, () => this._chooseTrack(track));
      tr.dataset.track = track.number;
      setCurrent(tr, this._isOnly(track));
      return tr;
    });
  }

  _isOnly(track) {
    return this.tracks?.length === 1 && this.tracks[0] === track;
  }

  _markTracks() {
    for (const tr of element("tracks").querySelectorAll("[data-track]")) {
      setCurrent(tr, this._isOnly(this.minutes.tracks[tr.dataset.track]));
    }
  }

  _chooseTrack(track) {
    element("user").value = track.user;
    this._fillDays();
    element("day").value = track.day;
    this._choose();
    element("map").scrollIntoView({ block: "nearest" }); // a phone shows the map or the table
  }

  _fillMinutes() {
    const places = this.tracks.flatMap(({ first, end }) =>
      Array.from({ length: end - first }, (_, place) => first + place),
    );
    fillTable("minutes", places, (at) => this._minuteRow(at));
  }

  /** Return the row of a minute, after the row of the gap before it, if there is one. */
  _minuteRow(at) {
    const { time, user, lat, long, accuracy, speed, count } = this.minutes.texts(at);
    const tr = row([time, user, lat, long, accuracy, speed, count], () => this._select(at));
    tr.dataset.at = at;
    setCurrent(tr, this.found?.includes(at));
    tr.addEventListener("focusin", () => this._showTooltip(at));
    tr.addEventListener("focusout", () => this._showTooltip(null));
    const both = document.createDocumentFragment();
    const gap = this.minutes.gapBefore(at);
    if (gap !== null) both.append(gapRow(gap));
    both.append(tr);
    return both;
  }

  // The tooltip and the time line.

  _showTooltip(at) {
    if (at === this.tooltipAt) return;
    this.tooltipAt = at;
    this.layers.showTooltip(at, at === null ? "" : tooltip(this.minutes.texts(at)));
  }

  /** Go to the time of a minute. */
  _select(at) {
    if (at === null) return;
    this._pause();
    element("time").value = indexOf(this.times, this.minutes.minute[at]);
    this._scrub();
  }

  _scrub() {
    const time = this.times[element("time").value];
    const found = (this.found = this.minutes.at(time, this.tracks));
    element("clock").textContent = `${clock(time)} UTC`;
    element("time").setAttribute("aria-valuetext", `${clock(time)} UTC`);
    this.layers.mark(found);
    this.layers.follow(found);
    this._sayNow(found);
    for (const tr of element("minutes").querySelectorAll("[data-at]")) {
      setCurrent(tr, found.includes(Number(tr.dataset.at)));
    }
  }

  _sayNow(found) {
    const shown = found.slice(0, MAX_LISTED).map((at) => line(sentence(this.minutes.texts(at))));
    const others = found.length - shown.length;
    if (others) shown.push(line(others === 1 ? "and 1 more user" : `and ${others} more users`));
    element("now").replaceChildren(line(element("clock").textContent, "strong"), ...shown);
  }

  _play() {
    const time = element("time");
    const step = Math.max(1, Math.ceil(this.times.length / PLAY_STEPS));
    if (Number(time.value) >= this.times.length - 1) time.value = 0;
    element("play").textContent = "Pause";
    element("now").setAttribute("aria-live", "off"); // ten announcements a second would be useless
    this.playing = setInterval(() => {
      time.value = Number(time.value) + step;
      this._scrub();
      if (Number(time.value) >= this.times.length - 1) this._pause();
    }, PLAY_MS);
  }

  _pause() {
    clearInterval(this.playing);
    this.playing = null;
    element("play").textContent = "Play";
    element("now").setAttribute("aria-live", "polite");
  }

  // Theme, base map and legend.

  _setTheme(dark) {
    this.dark = dark;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    element("theme").textContent = dark ? "Light theme" : "Dark theme"; // what a click gives
    this.layers.setTheme(dark ? "dark" : "light");
  }

  _setTiles(on) {
    const why = location.protocol === "file:"
      ? "OpenStreetMap serves only pages from a web server, not files; docs/MAP.md shows how."
      : navigator.onLine ? "" : "There is no network connection.";
    if (on && why) element("tiles").checked = false;
    element("tiles-note").textContent = on ? why : TILES_NOTE;
    this.layers.setTiles(on && !why, () => {
      element("tiles-note").textContent = "The base map, or a part of it, could not be loaded.";
    });
  }

  _fillLegend() {
    const { speeds, maxStep } = this.minutes.data;
    const entries = speeds.map(([from, colour], number) => {
      const to = speeds[number + 1]?.[0];
      const range = to === undefined ? `${from} and more` : `${from} to ${to}`;
      const entry = line(from < 0 ? "unknown" : range, "li");
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.backgroundColor = colour;
      entry.prepend(swatch);
      return entry;
    });
    element("legend").replaceChildren(...entries);
    element("gap-note").textContent =
      `A circle's radius is the accuracy. Positions more than ${maxStep} minutes apart are not joined.`;
  }
}

let page = null;

async function open() {
  document.documentElement.dataset.theme = systemIsDark.matches ? "dark" : "light";
  const data = JSON.parse(element("data").textContent);
  if (data.minutes === 0) {
    element("notice").textContent = "No minutes match the user and the time. If fixes arrived since the last roll-up, run locctl rollup first.";
    element("notice").hidden = false;
    return;
  }
  const minutes = new Minutes(data, await unpack(data));
  for (const id of ["main", "theme"]) element(id).hidden = false;
  page = new Page(minutes);
}

open().catch((error) => {
  element("notice").textContent = `Cannot show the tracks: ${error.message}`;
  element("notice").hidden = false;
  throw error;
});
