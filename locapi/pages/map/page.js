// The page: controls, tables and what they say. Whatever comes from data is set as text.

const TILES_NOTE = "Fetched from openstreetmap.org, which so learns where you look.";
const MOST_TOLD = 3; // of users at one minute
const PLAY_STEPS = 600; // the whole time line in a minute
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
    map.on("mousemove", (event) => this._tell(this.layers.nearest(event.latlng)));
    map.on("mouseout", () => this._tell(null));
    map.on("click", (event) => {
      const at = this.layers.nearest(event.latlng);
      this._tell(at);
      this._select(at);
    });
    map.on("circles", ({ missing }) => {
      element("circles-note").textContent = missing ? "Zoom in to see them." : "";
    });
    this._listenToRows();
  }

  /** Rows are one stop for the Tab key; arrows lead from one to the next. */
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

  // What is chosen.

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

  /** Show the tracks of the user and day that are chosen. */
  _choose() {
    const [user, day] = [element("user").value, element("day").value];
    const tracks = this.minutes.tracks.filter(
      (track) => (user === "" || track.user === Number(user)) && (day === "" || track.day === Number(day)),
    );
    this._pause();
    this._tell(null);
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
      const made = row(cells, () => this._chooseTrack(track));
      made.dataset.track = track.number;
      setCurrent(made, this._isOnly(track));
      return made;
    });
  }

  _isOnly(track) {
    return this.tracks?.length === 1 && this.tracks[0] === track;
  }

  _markTracks() {
    for (const made of element("tracks").querySelectorAll("[data-track]")) {
      setCurrent(made, this._isOnly(this.minutes.tracks[made.dataset.track]));
    }
  }

  _chooseTrack(track) {
    element("user").value = track.user;
    this._fillDays();
    element("day").value = track.day;
    this._choose();
    element("map").scrollIntoView({ block: "nearest" }); // a phone shows one or the other
  }

  _fillMinutes() {
    const places = this.tracks.flatMap(({ first, end }) =>
      Array.from({ length: end - first }, (_, place) => first + place),
    );
    fillTable("minutes", places, (at) => this._minuteRow(at));
  }

  /** Return the row of a minute, after one that tells of a gap before it. */
  _minuteRow(at) {
    const { time, user, lat, long, accuracy, speed, count } = this.minutes.texts(at);
    const made = row([time, user, lat, long, accuracy, speed, count], () => this._select(at));
    made.dataset.at = at;
    setCurrent(made, this.found?.includes(at));
    made.addEventListener("focusin", () => this._tell(at));
    made.addEventListener("focusout", () => this._tell(null));
    const both = document.createDocumentFragment();
    const gap = this.minutes.gapBefore(at);
    if (gap !== null) both.append(gapRow(gap));
    both.append(made);
    return both;
  }

  // Hover and the time line.

  _tell(at) {
    if (at === this.told) return;
    this.told = at;
    this.layers.tell(at, at === null ? "" : numbers(this.minutes.texts(at)));
  }

  /** Go to the time of a minute. */
  _select(at) {
    if (at === null) return;
    this._pause();
    element("time").value = place(this.times, this.minutes.minute[at]);
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
    for (const made of element("minutes").querySelectorAll("[data-at]")) {
      setCurrent(made, found.includes(Number(made.dataset.at)));
    }
  }

  _sayNow(found) {
    const told = found.slice(0, MOST_TOLD).map((at) => line(sentence(this.minutes.texts(at))));
    const others = found.length - told.length;
    if (others) told.push(line(others === 1 ? "and 1 more user" : `and ${others} more users`));
    element("now").replaceChildren(line(element("clock").textContent, "strong"), ...told);
  }

  _play() {
    const time = element("time");
    const step = Math.max(1, Math.ceil(this.times.length / PLAY_STEPS));
    if (Number(time.value) >= this.times.length - 1) time.value = 0;
    element("play").textContent = "Pause";
    element("now").setAttribute("aria-live", "off"); // ten times a second is no help
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

  // How it looks.

  _setTheme(dark) {
    this.dark = dark;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    element("theme").setAttribute("aria-pressed", dark);
    this.layers.setTheme(dark ? "dark" : "light");
  }

  _setTiles(on) {
    const why = location.protocol === "file:"
      ? "OpenStreetMap answers only pages that come from a web server, not files; docs/MAP.md says how."
      : navigator.onLine ? "" : "There is no network now.";
    if (on && why) element("tiles").checked = false;
    element("tiles-note").textContent = on ? why : TILES_NOTE;
    this.layers.setTiles(on && !why, () => {
      element("tiles-note").textContent = "The base map, or a part of it, cannot be fetched.";
    });
  }

  _fillLegend() {
    const { speeds, gap } = this.minutes.data;
    const entries = speeds.map(([from, colour], number) => {
      const to = speeds[number + 1]?.[0];
      const entry = line(to === undefined ? `${from} and more` : `${from} to ${to}`, "li");
      const swatch = document.createElement("span");
      swatch.className = "swatch";
      swatch.style.backgroundColor = colour;
      entry.prepend(swatch);
      return entry;
    });
    element("legend").replaceChildren(...entries);
    element("gap-note").textContent =
      `Circles are as wide as the accuracy. Where nothing came for more than ${gap} minutes, there is no line.`;
  }
}

let page = null;

async function open() {
  document.documentElement.dataset.theme = systemIsDark.matches ? "dark" : "light";
  const data = JSON.parse(element("data").textContent);
  if (data.minutes === 0) {
    element("notice").textContent = "There are no minutes to show: none was rolled up yet, or none is of this user and time.";
    element("notice").hidden = false;
    return;
  }
  const minutes = new Minutes(data, await unpack(data));
  for (const id of ["main", "theme"]) element(id).hidden = false;
  page = new Page(minutes);
}

open().catch((error) => {
  element("notice").textContent = `The tracks cannot be shown: ${error.message}`;
  element("notice").hidden = false;
  throw error;
});
