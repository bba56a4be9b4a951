// The minutes: unpacked, and what is asked of them. Knows neither the map nor the page.

const DAY = 24 * 60;

/** Return the columns of `data`, each an Int32Array. */
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

  /** Return the longitude at which a minute is drawn, which may lie beyond 180. */
  drawnLongitude(at) {
    return this.long[at] / this.data.scales.long + 360 * this.turn[at];
  }

  /** Return metres. */
  radius(at) {
    return this.accuracy[at] / this.data.scales.accuracy;
  }

  /** Return the class of speed of the line between two minutes, or of one minute. */
  speedClass(at, other = at) {
    const speed = (this.speed[at] + this.speed[other]) / 2 / this.data.scales.speed;
    return this.data.speeds.findLastIndex(([from]) => speed >= from);
  }

  /** Return how many minutes are missing between a minute and its track's last, null if few. */
  gapBefore(at) {
    const isFirst = at === this.tracks[this.trackOf[at]].first;
    return isFirst || this.piece[at] === this.piece[at - 1] ? null : this.minute[at] - this.minute[at - 1] - 1;
  }

  /** Return the numbers of a minute as text, by column. */
  texts(at) {
    const text = (name, digits) => {
      const over = this[name][at] === this.data.greatest ? "over " : "";
      return over + (this[name][at] / this.data.scales[name]).toFixed(digits);
    };
    return {
      time: clock(this.minute[at]),
      user: this.user(at),
      lat: text("lat", 6),
      long: text("long", 6),
      accuracy: text("accuracy", 2),
      speed: text("speed", 3),
      count: text("count", 0),
    };
  }

  /** Return the distinct times of tracks, ascending. */
  times(tracks) {
    const times = new Set();
    for (const { first, end } of tracks) {
      for (let at = first; at < end; at++) times.add(this.minute[at]);
    }
    return Int32Array.from(times).sort();
  }

  /** Return the minutes of tracks at a time. */
  at(time, tracks) {
    const found = [];
    for (const { first, end } of tracks) {
      if (this.minute[first] > time || this.minute[end - 1] < time) continue;
      const at = first + place(this.minute.subarray(first, end), time);
      if (this.minute[at] === time) found.push(at);
    }
    return found;
  }
}

/** Return where `value` is, or would be, in ascending values. */
function place(values, value) {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Return the text of a day, counted from 1970. */
function date(day) {
  return new Date(day * DAY * 60_000).toISOString().slice(0, 10);
}

/** Return the text of a minute, counted from 1970. */
function clock(minute) {
  return new Date(minute * 60_000).toISOString().slice(0, 16).replace("T", " ");
}
