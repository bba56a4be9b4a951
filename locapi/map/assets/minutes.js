// The data: unpacks the columns and answers questions about minutes. Knows neither map nor page.

const DAY = 24 * 60;

/** Return the columns of the page's data by name, each an Int32Array. */
async function unpack(data) {
  const bytes = Uint8Array.from(atob(data.packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const steps = new Int32Array(await new Response(stream).arrayBuffer());
  const columns = data.names.map((name, place) => {
    const column = steps.subarray(place * data.minutes, (place + 1) * data.minutes);
    for (let at = 1; at < column.length; at++) column[at] += column[at - 1];
    return [name, column];
  });
  return Object.fromEntries(columns);
}

class Minutes {
  constructor(data, columns) {
    Object.assign(this, columns);
    this.data = data;
    this.users = data.users;
    this.tracks = data.tracks.map(([user, first, count], number) => ({
      number, user, first, end: first + count, day: Math.floor(columns.minute[first] / DAY),
    }));
    this.trackOf = new Int32Array(data.minutes);
    for (const track of this.tracks) this.trackOf.fill(track.number, track.first, track.end);
  }

  user(at) {
    return this.users[this.tracks[this.trackOf[at]].user];
  }

  latitude(at) {
    return this.lat[at] / this.data.scales.lat;
  }

  /** Return the longitude at which a minute is drawn, which may be beyond ±180. */
  drawnLongitude(at) {
    return this.long[at] / this.data.scales.long + 360 * this.turn[at];
  }

  /** Return the accuracy in metres, 0 if it is unknown. */
  radius(at) {
    return Math.max(0, this.accuracy[at] / this.data.scales.accuracy);
  }

  /** Return the speed class of a minute, or of the line between two. */
  speedClass(at, other = at) {
    const [a, b] = [this.speed[at], this.speed[other]];
    // Below 0 is unknown; then the neighbour's counts, which may be unknown, too.
    const speed = a < 0 ? b : b < 0 ? a : (a + b) / 2;
    return this.data.speeds.findLastIndex(([from]) => speed / this.data.scales.speed >= from);
  }

  /** Return how many minutes the gap before a minute has, null if there is no gap. */
  gapBefore(at) {
    const isFirst = at === this.tracks[this.trackOf[at]].first;
    return isFirst || this.segment[at] === this.segment[at - 1] ? null : this.minute[at] - this.minute[at - 1] - 1;
  }

  /** Return the values of a minute as texts. */
  texts(at) {
    const text = (name, digits) => {
      const over = this[name][at] === this.data.maxValue ? "over " : "";
      return over + (this[name][at] / this.data.scales[name]).toFixed(digits);
    };
    const known = (name, digits) => (this[name][at] < 0 ? "unknown" : text(name, digits));
    return {
      time: clock(this.minute[at]),
      user: this.user(at),
      lat: text("lat", 6),
      long: text("long", 6),
      accuracy: known("accuracy", 2),
      speed: known("speed", 3),
      count: text("count", 0),
    };
  }

  /** Return the distinct times of some tracks, sorted. */
  times(tracks) {
    const times = new Set();
    for (const { first, end } of tracks) {
      for (let at = first; at < end; at++) times.add(this.minute[at]);
    }
    return Int32Array.from(times).sort();
  }

  /** Return the minutes of some tracks at a time. */
  at(time, tracks) {
    const found = [];
    for (const { first, end } of tracks) {
      if (this.minute[first] > time || this.minute[end - 1] < time) continue;
      const at = first + indexOf(this.minute.subarray(first, end), time);
      if (this.minute[at] === time) found.push(at);
    }
    return found;
  }
}

/** Return the index at which `value` is, or would be, in sorted values. */
function indexOf(values, value) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return a day, counted from 1970, as text. */
function date(day) {
  return new Date(day * DAY * 60_000).toISOString().slice(0, 10);
}

/** Return a minute, counted from 1970, as text. */
function clock(minute) {
  return new Date(minute * 60_000).toISOString().slice(0, 16).replace("T", " ");
}
