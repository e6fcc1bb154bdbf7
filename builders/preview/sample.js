// The sheet of one sample as elements. Every text of the data goes into a text node or an attribute, never into markup.
"use strict";

const LONG_TEXT = 3000;
const MANY_FRAMES = 12;
const MANY_PICTURES = 200;

mm.element = (name, attributes = {}, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "className") element.className = value;
    else if (key === "object") element.style.setProperty("--object", value);
    else element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
};

mm.glyph = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  svg.setAttribute("aria-hidden", "true");
  return svg;
};

mm.modalities = (mix) => (mix.match(/audio_q|image|video|audio|masks/g) || ["text"]);
mm.glyphs = (mix) => mm.element("span", { className: "glyphs" }, ...mm.modalities(mix).map(mm.glyph));
mm.number = (value) => value.toLocaleString("en-US");

mm.size = (bytes) => {
  if (bytes === null || bytes === undefined) return "";
  const units = ["bytes", "kB", "MB", "GB"];
  let power = 0;
  while (bytes >= 1000 && power < 3) (bytes /= 1000), power++;
  return `${power && bytes < 10 ? bytes.toFixed(1) : Math.round(bytes)} ${units[power]}`;
};

mm.draw = (sheet) => {
  const el = mm.element;
  const objects = sheet.objects;
  const sheetElement = el("article", { className: "sheet", "data-n": sheet.n });

  sheetElement.append(head());
  if (sheet.findings.length) sheetElement.append(el("ul", { className: "findings", "aria-label": "Findings" }, ...sheet.findings.map(finding)));
  if (objects.length) sheetElement.append(legend());
  if (sheet.system !== null) sheetElement.append(el("section", { className: "system" }, el("span", { className: "label" }, "system"), ...paragraph([{ text: sheet.system }])));
  if (sheet.unplaced.length) sheetElement.append(el("section", { className: "system" }, el("span", { className: "label" }, "media without a placeholder"), media(sheet.unplaced)));
  sheetElement.append(el("ol", { className: "chat" }, ...sheet.turns.map(turn)));
  if (sheet.text_q !== null) sheetElement.append(el("section", { className: "system" }, el("span", { className: "label" }, "text in place of the first turn (text_q)"), ...paragraph([{ text: sheet.text_q }])));
  if (sheet.raw !== null) sheetElement.append(el("span", { className: "label" }, "text in the file"), el("pre", { className: "raw", dir: "auto" }, sheet.raw));
  if (sheet.state !== "file") sheetElement.append(columns());
  return sheetElement;

  function head() {
    const place = sheet.row >= 0 ? `${sheet.file} · record ${mm.number(sheet.row)}` : sheet.file;
    return el(
      "header",
      { className: "head" },
      el("h2", sheet.id.length > 80 ? { className: "long", title: sheet.id } : {}, el("small", {}, sheet.state === "file" ? "file" : "id"), el("bdi", {}, sheet.id)),
      sheet.state === "rejected" ? el("span", { className: "badge rejected" }, "rejected") : null,
      sheet.state === "file" ? el("span", { className: "badge rejected" }, "whole file") : null,
      sheet.mix ? el("span", { className: "badge mix" }, mm.glyphs(sheet.mix), sheet.mix) : null,
      sheet.state === "file" ? null : el("span", { className: "badge" }, el("bdi", {}, place)),
      sheet.format ? el("span", { className: "badge" }, "format ", el("code", {}, sheet.format)) : null,
      sheet.num_frames !== null ? el("span", { className: "badge" }, `${sheet.num_frames} frames requested`) : null,
    );
  }

  function finding(found) {
    return el(
      "li",
      { className: `finding ${found.severity}` },
      el("header", {}, el("code", {}, found.code), found.name, found.pointer ? el("code", { className: "where" }, el("bdi", {}, found.pointer)) : null, found.offset === null ? null : el("code", { className: "where" }, `byte ${mm.number(found.offset)}`)),
      el("p", { dir: "auto" }, found.message),
      el("p", { className: "fix" }, `${found.meaning} ${found.fix}`),
    );
  }

  function legend() {
    const count = (object) => (object.visible === object.frames ? `${object.visible}` : `${object.visible} of ${object.frames}`);
    return el(
      "div",
      { className: "objects" },
      objects.length === 1 ? "1 object" : `${objects.length} objects`,
      ...objects.map((object, k) => chip(k, el("small", {}, `${count(object)} ${object.frames === 1 ? "mask" : "masks"}`))),
    );
  }

  function chip(k, more = null) {
    const object = objects[k];
    return el(
      "button",
      {
        type: "button", className: "region", "data-object": k, "aria-pressed": "false", object: object ? object.colour : "var(--soft)",
        title: object ? `Object ${k + 1}: click to highlight it` : "No object is annotated for this region",
        onclick: () => mm.highlight(mm.pinned === k ? null : k, true),
        onpointerenter: () => mm.highlight(k, false),
        onpointerleave: () => mm.highlight(mm.pinned, false),
      },
      more ? `${k + 1}` : `region ${k + 1}`,
      more,
    );
  }

  function turn({ role, parts }) {
    const body = blocks(parts).map((block) => (block.media ? media(block.media) : paragraph(block.text))).flat();
    const shown = parts.filter((part) => part.medium);
    const wide = shown.length > 1 || shown.some((part) => part.medium.kind !== "image");
    return el(
      "li",
      { className: `turn ${role === "human" ? "human" : "gpt"}${wide ? " wide" : ""}` },
      el("span", { className: "label" }, el("bdi", {}, role)),
      ...(body.length ? body : [el("p", { className: "text none" }, "no text")]),
    );
  }

  // Media with only white space between them form one block; texts and regions form one paragraph.
  function blocks(parts) {
    const found = [];
    for (const part of parts) {
      const last = found[found.length - 1];
      if (part.medium) {
        if (last && last.text && found.length > 1 && last.text.every(isBlank)) found.pop();
        const before = found[found.length - 1];
        if (before && before.media) before.media.push(part.medium);
        else found.push({ media: [part.medium] });
      } else if (last && last.text) last.text.push(part);
      else found.push({ text: [part] });
    }
    return found.filter((block) => block.media || !block.text.every(isBlank));
  }

  function isBlank(part) {
    return part.text !== undefined && !part.text.trim();
  }

  function paragraph(parts) {
    const element = el("p", { className: "text", dir: "auto" });
    const last = parts.length - 1;
    let length = 0;
    const rest = [];
    parts.forEach((part, i) => {
      if (part.text === undefined) {
        if (rest.length) rest.push(chip(part.region));
        else element.append(chip(part.region));
        return;
      }
      let text = part.text;
      if (i === 0) text = text.replace(/^\n+/, "");
      if (i === last) text = text.replace(/\n+$/, "");
      if (length < LONG_TEXT && length + text.length > LONG_TEXT * 1.2) {
        const cut = cutAt(text, LONG_TEXT - length);
        element.append(text.slice(0, cut));
        rest.push(text.slice(cut));
      } else if (rest.length) rest.push(text);
      else element.append(text);
      length += text.length;
    });
    if (!rest.length) return [element];
    const more = el("button", { type: "button", className: "more" }, `… show all ${mm.number(length)} characters`);
    more.addEventListener("click", () => (element.append(...rest), more.remove()));
    return [element, more];
  }

  // The next place at which a cut splits neither a surrogate pair nor a joined emoji.
  function cutAt(text, at) {
    while (at < text.length && (/[\udc00-\udfff\u200d\ufe0f]/.test(text[at]) || text[at - 1] === "\u200d")) at++;
    return at;
  }

  function media(list) {
    const pictures = list.every((one) => one.kind === "image");
    if (pictures && list.length > 1) {
      const grid = el("div", { className: `media gallery${list.length <= 4 ? " few" : ""}` });
      return el("div", { className: "media" }, grid, addFirst(grid, list, MANY_PICTURES, (one, i) => image(one, i + 1), "pictures"));
    }
    return el("div", { className: `media${list.length === 1 ? " alone" : ""}` }, ...list.map(medium));
  }

  function medium(one) {
    if (one.missing) return notShown(one);
    if (one.kind === "frames") return frames(one);
    if (one.kind === "video") return video(one);
    if (one.kind === "audio") return sound(one);
    return image(one);
  }

  function notShown(one, kind = one.kind) {
    return el("div", { className: "missing" }, el("strong", {}, `This ${kind === "audio" ? "sound" : kind} cannot be shown`), el("span", { dir: "auto" }, one.missing), one.code ? el("small", {}, one.code) : null);
  }

  function caption(one, ...more) {
    return el("figcaption", {}, [one.name, mm.size(one.size)].filter(Boolean).join(" · "), ...more);
  }

  function replaceOnError(one, element, text) {
    return async () => {
      const reason = await mm.source.failure(one.url).catch(() => "");
      element.replaceWith(notShown({ ...one, missing: reason || text }));
    };
  }

  function shot(one, label) {
    const figure = el("figure", { className: "picture" });
    const button = el("button", { type: "button", className: "shot", "aria-label": `Enlarge ${label || one.name}`, onclick: () => mm.enlarge(button) });
    const picture = el("img", { src: mm.url(one.url), alt: one.name, loading: "lazy", decoding: "async", draggable: "false" });
    picture.addEventListener("error", replaceOnError(one, figure, "The file is damaged, or no browser shows its format."));
    if ((one.masks || []).length) picture.classList.add("stored"); // masks belong to the stored pixels, before any rotation
    button.append(picture);
    for (const mask of one.masks || []) button.append(el("img", { className: "mask", src: mm.url(mask.url), alt: `mask of object ${mask.object + 1}`, loading: "lazy", "data-object": mask.object }));
    button.medium = one;
    figure.append(button);
    return figure;
  }

  function image(one, number) {
    if (one.missing) return notShown(one);
    const figure = shot(one, number ? `picture ${number}` : "");
    if (number) figure.firstChild.append(el("span", { className: "number" }, `${number}`));
    figure.append(caption(one, absent(one)));
    return figure;
  }

  // Adds the first elements of a long list, and returns the button that adds the rest; null for a short list.
  function addFirst(place, list, count, each, what) {
    place.append(...list.slice(0, count).map(each));
    if (list.length <= count) return null;
    const rest = () => {
      place.append(...list.slice(count).map((one, i) => each(one, count + i)));
      more.remove();
      mm.highlight(mm.pinned, false);
    };
    const more = el("button", { type: "button", className: "more", onclick: rest }, `… show all ${mm.number(list.length)} ${what}`);
    return more;
  }

  function absent(one) {
    if (!one.absent || !one.absent.length) return null;
    const marks = one.absent.map((k) => el("i", { object: objects[k] ? objects[k].colour : undefined, title: `object ${k + 1}` }));
    return el("span", { className: "absent" }, ...marks, `object ${one.absent.map((k) => k + 1).join(", ")} not visible`);
  }

  function frames(one) {
    const count = one.frames.length;
    const each = (frame, i) => {
      if (frame.missing) return notShown(frame, "frame");
      const figure = shot({ ...frame, name: `frame ${i} · ${frame.name}` }, `frame ${i}`);
      figure.firstChild.append(el("span", { className: "number" }, `${i}`));
      const note = absent(frame);
      if (note) figure.append(el("figcaption", {}, note));
      return figure;
    };
    const row = el("div", { className: "frames", tabindex: "0", role: "group", "aria-label": `${count} frames` });
    const more = addFirst(row, one.frames, MANY_PICTURES, each, "frames");
    return el("figure", { className: "video" }, row, el("figcaption", {}, `video of ${count} ${count === 1 ? "frame" : "frames"}`), more);
  }

  function video(one) {
    const figure = el("figure", { className: "video" });
    const player = el("video", { controls: true, preload: "metadata", playsinline: true, src: mm.url(one.url) });
    player.addEventListener("error", () => {
      const notice = notShown({ ...one, missing: "This browser does not play the file; another program may." });
      const first = one.url.match(/^media\/(\d+)\/videos\/(\d+)$/);
      player.replaceWith(notice);
      if (first && !one.annotated) notice.after(shot({ kind: "image", name: "first frame", url: `frame/${first[1]}/${first[2]}/0` }));
    });
    figure.append(player, caption(one));
    if (one.annotated) figure.append(annotated(one.annotated));
    return figure;
  }

  function annotated(list) {
    const each = (frame) => {
      if (frame.missing) return notShown({ ...frame, missing: `frame ${frame.frame}: ${frame.missing}` });
      const figure = shot(frame, frame.name);
      figure.append(el("figcaption", {}, frame.name, absent(frame)));
      return figure;
    };
    const grid = el("div", { className: "annotated" });
    const more = addFirst(grid, list, MANY_FRAMES, each, "annotated frames");
    return el("section", {}, el("span", { className: "label" }, list.length === 1 ? "annotated frame" : `${mm.number(list.length)} annotated frames`), grid, more);
  }

  function sound(one) {
    const player = el("audio", { controls: true, preload: "metadata", src: mm.url(one.url) });
    const figure = el("figure", { className: "sound" }, player, caption(one));
    player.addEventListener("error", replaceOnError(one, figure, "This browser does not play the file; another program may."));
    return figure;
  }

  function columns() {
    const details = el("details", { className: "columns", id: "columns" }, el("summary", {}, "Columns"));
    let loaded = false;
    details.addEventListener("toggle", async () => {
      if (!details.open || loaded) return;
      loaded = true;
      try {
        const texts = await mm.source.columns(sheet.n);
        details.append(el("dl", {}, ...Object.entries(texts).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, ...value(text))])));
      } catch (error) {
        loaded = false;
        details.append(notShown({ kind: "column", missing: error.message }));
      }
    });
    return details;
  }

  function value(text) {
    const pre = el("pre", { className: "value", dir: "auto", tabindex: "0" }, text.slice(0, 20000));
    if (text.length <= 20000) return [pre];
    const more = el("button", { type: "button", className: "more", onclick: () => (pre.append(text.slice(20000)), more.remove()) }, `… show all ${mm.number(text.length)} characters`);
    return [pre, more];
  }
};

// Highlights one object: its masks stay, all others fade. A pinned object stays highlighted.
mm.pinned = null;
mm.highlight = (k, pin) => {
  if (pin) mm.pinned = k;
  for (const mask of document.querySelectorAll(".mask")) mask.classList.toggle("dim", k !== null && Number(mask.dataset.object) !== k);
  for (const chip of document.querySelectorAll(".region")) chip.setAttribute("aria-pressed", String(Number(chip.dataset.object) === mm.pinned && mm.pinned !== null));
};

// The enlarged picture.
mm.enlarge = (shot) => {
  const dialog = document.getElementById("large");
  const stage = document.getElementById("stage");
  const shots = [...document.querySelectorAll("#sample .shot")];
  let at = shots.indexOf(shot);
  function show(index) {
    at = (index + shots.length) % shots.length;
    const one = shots[at].medium;
    const layers = mm.element("div", { className: "layers" });
    const picture = mm.element("img", { src: mm.url(one.url), alt: one.name });
    const fit = () => {
      layers.style.setProperty("--ratio", String(picture.naturalWidth / Math.max(1, picture.naturalHeight)));
      layers.classList.toggle("small", picture.naturalWidth <= 200);
    };
    picture.addEventListener("load", fit);
    if ((one.masks || []).length) picture.classList.add("stored");
    layers.append(picture, ...(one.masks || []).map((mask) => mm.element("img", { className: "mask", src: mm.url(mask.url), alt: "", "data-object": mask.object })));
    stage.replaceChildren(layers);
    document.getElementById("large-caption").textContent = `${one.name} · ${at + 1} of ${shots.length}`;
    for (const id of ["large-previous", "large-next"]) document.getElementById(id).disabled = shots.length < 2;
    mm.highlight(mm.pinned, false);
  }
  mm.largeStep = (step) => show(at + step);
  show(at);
  dialog.showModal();
};
