// Parts of the page: lists, rows and texts. Whatever comes from data is set as text.

const MOST_ROWS = 200;
const element = (id) => document.getElementById(id);

function fillSelect(id, all, choices) {
  const options = [["", all], ...choices].map(([value, text]) => new Option(text, value));
  element(id).replaceChildren(...options);
}

/** Fill a table with rows made of items: the first ones, and all when asked. */
function fillTable(id, items, made) {
  const body = element(id).tBodies[0];
  const more = element(id).closest("details").querySelector(".more");
  const fill = (count) => {
    body.replaceChildren(...items.slice(0, count).map(made));
    const first = body.querySelector("button");
    if (first) first.tabIndex = 0;
    more.hidden = items.length <= count;
  };
  more.textContent = `Show ${MOST_ROWS} more`;
  let count = MOST_ROWS;
  more.onclick = () => fill((count += MOST_ROWS));
  fill(count);
}

/** Return a row whose first cell is a button that does something. */
function row(cells, does) {
  const made = document.createElement("tr");
  const button = line(cells[0], "button");
  button.type = "button";
  button.tabIndex = -1;
  button.addEventListener("click", does);
  const head = document.createElement("th");
  head.scope = "row";
  head.append(button);
  made.append(head, ...cells.slice(1).map((cell) => line(cell, "td")));
  return made;
}

function gapRow(minutes) {
  const made = document.createElement("tr");
  const cell = line(`Nothing for ${minutes.toLocaleString("en")} minutes`, "td");
  cell.colSpan = 7;
  made.className = "gap";
  made.append(cell);
  return made;
}

function setCurrent(made, current) {
  if (current) made.setAttribute("aria-current", "true");
  else made.removeAttribute("aria-current");
}

/** Return an element with a text. */
function line(text, name = "span") {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

/** Return what is told of a minute where it lies. */
function numbers({ time, user, lat, long, accuracy, speed, count }) {
  const made = document.createElement("div");
  made.append(
    line(user, "strong"), line(`${time} UTC`), line(`${lat}, ${long}`), line(`accuracy ${accuracy} m`),
    line(`${speed} m/s`), line(fixes(count)),
  );
  return made;
}

function sentence({ user, lat, long, accuracy, speed, count }) {
  return `${user}: ${lat}, ${long}, accuracy ${accuracy} m, ${speed} m/s, ${fixes(count)}`;
}

function fixes(count) {
  return count === "1" ? "1 fix" : `${count} fixes`;
}
