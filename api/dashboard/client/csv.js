// CSV (RFC 4180) as the objects of an import: the first row names the fields.

/** The rows of a CSV text, as lists of texts. The separator is a comma, or a semicolon or tab. */
export function rows(text) {
  const found = [];
  let row = [];
  let cell = "";
  let quoted = false;
  const mark = separator(text);
  const end = () => {
    row.push(cell);
    if (row.length > 1 || cell !== "") found.push(row);
    [row, cell] = [[], ""];
  };
  for (let at = text.charCodeAt(0) === 0xfeff ? 1 : 0; at < text.length; at++) {
    const letter = text[at];
    if (quoted) {
      if (letter !== '"') cell += letter;
      else if (text[at + 1] === '"') cell += text[++at];
      else quoted = false;
    } else if (letter === '"' && cell === "") quoted = true;
    else if (letter === mark) {
      row.push(cell);
      cell = "";
    } else if (letter === "\n" || letter === "\r") {
      if (letter === "\r" && text[at + 1] === "\n") at++;
      end();
    } else cell += letter;
  }
  if (cell !== "" || row.length) end();
  return found;
}

function separator(text) {
  const first = text.slice(0, text.search(/[\r\n]|$/));
  return [",", ";", "\t"].reduce((best, one) =>
    first.split(one).length > first.split(best).length ? one : best);
}

/** The objects that the rows stand for. `fields`: of a line of the import. Empty cells are left out. */
export function objects(text, fields) {
  const [names = [], ...lines] = rows(text);
  const kinds = new Map(fields.map((field) => [field.name, field]));
  return lines.map((cells) => {
    const made = {};
    names.forEach((name, index) => {
      const cell = cells[index] ?? "";
      if (cell !== "") put(made, name.trim().split("."), value(kinds.get(name.trim()), cell));
    });
    return made;
  });
}

function put(object, [name, ...rest], value) {
  if (rest.length) put((object[name] ??= {}), rest, value);
  else object[name] = value;
}

function value(field, cell) {
  switch (field?.kind) {
    case "boolean":
      return /^true$/i.test(cell) ? true : /^false$/i.test(cell) ? false : cell;
    case "integer":
    case "number":
      return cell.trim() !== "" && Number.isFinite(Number(cell)) ? Number(cell) : cell;
    case "list":
      return cell.split(";").map((one) => value(field.item, one.trim()));
    default:
      return cell;
  }
}
