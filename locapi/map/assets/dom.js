// Helpers to build the page's elements. Data becomes text, never HTML.

const ROWS_AT_ONCE = 200;
const element = (id) => document.getElementById(id);

function fillSelect(id, all, choices) {
  const options = [["", all], ...choices].map(([value, text]) => new Option(text, value));
  element(id).replaceChildren(...options);
}

/** Fill a table with the first items, and with more each time the button is clicked. */
function fillTable(id, items, toRow) {
  const body = element(id).tBodies[0];
  const more = element(id).closest("details").querySelector(".more");
  const fill = (count) => {
    body.replaceChildren(...items.slice(0, count).map(toRow));
    const first = body.querySelector("button");
    if (first) first.tabIndex = 0;
    more.hidden = items.length <= count;
  };
  more.textContent = `Show ${ROWS_AT_ONCE} more`;
  let count = ROWS_AT_ONCE;
  more.onclick = () => fill((count += ROWS_AT_ONCE));
  fill(count);
}

/** Return a table row whose first cell is a button. */
function row(cells, onClick) {
  const tr = document.createElement("tr");
  const button = line(cells[0], "button");
  button.type = "button";
  button.tabIndex = -1;
  button.addEventListener("click", onClick);
  const head = document.createElement("th");
  head.scope = "row";
  head.append(button);
  tr.append(head, ...cells.slice(1).map((cell) => line(cell, "td")));
  return tr;
}

function gapRow(minutes) {
  const tr = document.createElement("tr");
  const cell = line(`No position for ${minutes.toLocaleString("en")} minutes`, "td");
  cell.colSpan = 7;
  tr.className = "gap";
  tr.append(cell);
  return tr;
}

function setCurrent(tr, isCurrent) {
  if (isCurrent) tr.setAttribute("aria-current", "true");
  else tr.removeAttribute("aria-current");
}

/** Return an element that contains a text. */
function line(text, name = "span") {
  const created = document.createElement(name);
  created.textContent = text;
  return created;
}

/** Return the contents of a minute's tooltip. */
function tooltip({ time, user, lat, long, accuracy, speed, count }) {
  const div = document.createElement("div");
  div.append(
    line(user, "strong"), line(`${time} UTC`), line(`${lat}, ${long}`), line(`accuracy ${accuracyText(accuracy)}`),
    line(speedText(speed)), line(fixes(count)),
  );
  return div;
}

function sentence({ user, lat, long, accuracy, speed, count }) {
  return `${user}: ${lat}, ${long}, accuracy ${accuracyText(accuracy)}, ${speedText(speed)}, ${fixes(count)}`;
}

function accuracyText(accuracy) {
  return accuracy === "unknown" ? accuracy : `${accuracy} m`;
}

function speedText(speed) {
  return speed === "unknown" ? "speed unknown" : `${speed} m/s`;
}

function fixes(count) {
  return count === "1" ? "1 fix" : `${count} fixes`;
}
