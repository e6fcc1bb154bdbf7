// One sample as elements. Every text of the data goes into a text node or an attribute, never into markup.
"use strict";

const LONG_TEXT = 3000;
const MANY_FRAMES = 12;
const MANY_PICTURES = 200;

mm.element = (name, given = {}, ...children) => {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (key === "className") made.className = value;
    else if (key === "object") made.style.setProperty("--object", value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
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
  if (sheet.system !== null) sheetElement.append(el("section", { className: "system" }, el("span", { className: "label" }, "system"), ...said([{ text: sheet.system }])));
  if (sheet.unplaced.length) sheetElement.append(el("section", { className: "system" }, el("span", { className: "label" }, "media without a placeholder"), media(sheet.unplaced)));
  sheetElement.append(el("ol", { className: "chat" }, ...sheet.turns.map(turn)));
  if (sheet.text_q !== null) sheetElement.append(el("section", { className: "system" }, el("span", { className: "label" }, "transcript of the spoken question"), ...said([{ text: sheet.text_q }])));
  if (sheet.raw !== null) sheetElement.append(el("span", { className: "label" }, "as it stands in the file"), el("pre", { className: "raw", dir: "auto" }, sheet.raw));
  if (sheet.state !== "file") sheetElement.append(columns());
  return sheetElement;

  function head() {
    const place = sheet.row >= 0 ? `${sheet.file} · record ${mm.number(sheet.row)}` : sheet.file;
    return el(
      "header",
      { className: "head" },
      el("h2", sheet.id.length > 80 ? { className: "long", title: sheet.id } : {}, el("small", {}, sheet.state === "file" ? "file" : "id"), el("bdi", {}, sheet.id)),
      sheet.state === "rejected" ? el("span", { className: "badge rejected" }, "rejected") : null,
      sheet.state === "file" ? el("span", { className: "badge rejected" }, "the file as a whole") : null,
      sheet.mix ? el("span", { className: "badge mix" }, mm.glyphs(sheet.mix), sheet.mix) : null,
      sheet.state === "file" ? null : el("span", { className: "badge" }, el("bdi", {}, place)),
      sheet.format ? el("span", { className: "badge" }, "format ", el("code", {}, sheet.format)) : null,
      sheet.num_frames !== null ? el("span", { className: "badge" }, `${sheet.num_frames} frames asked for`) : null,
    );
  }

  function finding(one) {
    return el(
      "li",
      { className: `finding ${one.severity}` },
      el("header", {}, el("code", {}, one.code), one.name, one.pointer ? el("code", { className: "where" }, el("bdi", {}, one.pointer)) : null, one.offset === null ? null : el("code", { className: "where" }, `byte ${mm.number(one.offset)}`)),
      el("p", { dir: "auto" }, one.message),
      el("p", { className: "mend" }, `${one.meaning} ${one.mend}`),
    );
  }

  function legend() {
    const count = (object) => (object.there === object.frames ? `${object.there}` : `${object.there} of ${object.frames}`);
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
        title: object ? `Object ${k + 1}: click to bring it out` : "No object is annotated for this region",
        onclick: () => mm.bringOut(mm.pinned === k ? null : k, true),
        onpointerenter: () => mm.bringOut(k, false),
        onpointerleave: () => mm.bringOut(mm.pinned, false),
      },
      more ? `${k + 1}` : `region ${k + 1}`,
      more,
    );
  }

  function turn(one) {
    const body = blocks(one.parts).map((block) => (block.media ? media(block.media) : said(block.said))).flat();
    const shown = one.parts.filter((part) => part.medium);
    const wide = shown.length > 1 || shown.some((part) => part.medium.kind !== "image");
    return el(
      "li",
      { className: `turn ${one.role === "human" ? "human" : "gpt"}${wide ? " wide" : ""}` },
      el("span", { className: "label" }, el("bdi", {}, one.role)),
      ...(body.length ? body : [el("p", { className: "said nothing" }, "no text")]),
    );
  }

  // Media that only white space stands between belong together; texts and regions make one paragraph.
  function blocks(parts) {
    const found = [];
    for (const part of parts) {
      const last = found[found.length - 1];
      if (part.medium) {
        if (last && last.said && found.length > 1 && last.said.every((one) => one.text !== undefined && !one.text.trim())) found.pop();
        const before = found[found.length - 1];
        if (before && before.media) before.media.push(part.medium);
        else found.push({ media: [part.medium] });
      } else if (last && last.said) last.said.push(part);
      else found.push({ said: [part] });
    }
    return found.filter((block) => block.media || block.said.some((one) => one.text === undefined || one.text.trim()));
  }

  function said(parts) {
    const paragraph = el("p", { className: "said", dir: "auto" });
    const last = parts.length - 1;
    let length = 0;
    const rest = [];
    parts.forEach((part, i) => {
      if (part.text === undefined) {
        if (rest.length) rest.push(chip(part.region));
        else paragraph.append(chip(part.region));
        return;
      }
      let text = part.text;
      if (i === 0) text = text.replace(/^\n+/, "");
      if (i === last) text = text.replace(/\n+$/, "");
      if (length < LONG_TEXT && length + text.length > LONG_TEXT * 1.2) {
        const cut = whole(text, LONG_TEXT - length);
        paragraph.append(text.slice(0, cut));
        rest.push(text.slice(cut));
      } else if (rest.length) rest.push(text);
      else paragraph.append(text);
      length += text.length;
    });
    if (!rest.length) return [paragraph];
    const more = el("button", { type: "button", className: "more" }, `… show all ${mm.number(length)} characters`);
    more.addEventListener("click", () => (paragraph.append(...rest), more.remove()));
    return [paragraph, more];
  }

  // A cut that goes through no pair of surrogates and no joined emoji.
  function whole(text, at) {
    while (at < text.length && (/[\udc00-\udfff\u200d\ufe0f]/.test(text[at]) || text[at - 1] === "\u200d")) at++;
    return at;
  }

  function media(list) {
    const pictures = list.every((one) => one.kind === "image");
    if (pictures && list.length > 1) {
      const grid = el("div", { className: `media gallery${list.length <= 4 ? " few" : ""}` });
      return el("div", { className: "media" }, grid, some(grid, list, MANY_PICTURES, (one, i) => image(one, i + 1), "pictures"));
    }
    return el("div", { className: `media${list.length === 1 ? " alone" : ""}` }, ...list.map(medium));
  }

  function medium(one) {
    if (one.missing) return gone(one);
    if (one.kind === "frames") return strip(one);
    if (one.kind === "video") return video(one);
    if (one.kind === "audio") return sound(one);
    return image(one);
  }

  function gone(one, kind = one.kind) {
    return el("div", { className: "gone" }, el("strong", {}, `This ${kind === "audio" ? "sound" : kind} cannot be shown`), el("span", { dir: "auto" }, one.missing), one.code ? el("small", {}, one.code) : null);
  }

  function caption(one, ...more) {
    return el("figcaption", {}, [one.name, mm.size(one.size)].filter(Boolean).join(" · "), ...more);
  }

  function failed(one, element, text) {
    return async () => {
      const why = await mm.source.why(one.url).catch(() => "");
      element.replaceWith(gone({ ...one, missing: why || text }));
    };
  }

  function shot(one, label) {
    const figure = el("figure", { className: "picture" });
    const button = el("button", { type: "button", className: "shot", "aria-label": `Enlarge ${label || one.name}`, onclick: () => mm.enlarge(button) });
    const picture = el("img", { src: mm.url(one.url), alt: one.name, loading: "lazy", decoding: "async", draggable: "false" });
    picture.addEventListener("error", failed(one, figure, "The file is damaged, or of a kind no browser shows."));
    if ((one.masks || []).length) picture.classList.add("stored"); // masks are of the stored pixels, not of the turned ones
    button.append(picture);
    for (const mask of one.masks || []) button.append(el("img", { className: "mask", src: mm.url(mask.url), alt: `mask of object ${mask.object + 1}`, loading: "lazy", "data-object": mask.object }));
    button.shown = one;
    figure.append(button);
    return figure;
  }

  function image(one, number) {
    if (one.missing) return gone(one);
    const figure = shot(one, number ? `picture ${number}` : "");
    if (number) figure.firstChild.append(el("span", { className: "number" }, `${number}`));
    figure.append(caption(one, absent(one)));
    return figure;
  }

  // Puts the first of many into a place, and gives the button that puts in the rest.
  function some(place, list, count, each, what) {
    place.append(...list.slice(0, count).map(each));
    if (list.length <= count) return null;
    const rest = () => {
      place.append(...list.slice(count).map((one, i) => each(one, count + i)));
      more.remove();
      mm.bringOut(mm.pinned, false);
    };
    const more = el("button", { type: "button", className: "more", onclick: rest }, `… show all ${mm.number(list.length)} ${what}`);
    return more;
  }

  function absent(one) {
    if (!one.absent || !one.absent.length) return null;
    const marks = one.absent.map((k) => el("i", { object: objects[k] ? objects[k].colour : undefined, title: `object ${k + 1}` }));
    return el("span", { className: "absent" }, ...marks, `object ${one.absent.map((k) => k + 1).join(", ")} not there`);
  }

  function strip(one) {
    const count = one.frames.length;
    const each = (frame, i) => {
      if (frame.missing) return gone(frame, "frame");
      const figure = shot({ ...frame, name: `frame ${i} · ${frame.name}` }, `frame ${i}`);
      figure.firstChild.append(el("span", { className: "number" }, `${i}`));
      const note = absent(frame);
      if (note) figure.append(el("figcaption", {}, note));
      return figure;
    };
    const row = el("div", { className: "frames", tabindex: "0", role: "group", "aria-label": `${count} frames` });
    const more = some(row, one.frames, MANY_PICTURES, each, "frames");
    return el("figure", { className: "video" }, row, el("figcaption", {}, `video of ${count} ${count === 1 ? "frame" : "frames"}`), more);
  }

  function video(one) {
    const figure = el("figure", { className: "video" });
    const player = el("video", { controls: true, preload: "metadata", playsinline: true, src: mm.url(one.url) });
    player.addEventListener("error", () => {
      const notice = gone({ ...one, missing: "This browser does not play it; other programs may." });
      const first = one.url.match(/^media\/(\d+)\/videos\/(\d+)$/);
      player.replaceWith(notice);
      if (first && !one.annotated) notice.after(shot({ kind: "image", name: "its first frame", url: `frame/${first[1]}/${first[2]}/0` }));
    });
    figure.append(player, caption(one));
    if (one.annotated) figure.append(annotated(one.annotated));
    return figure;
  }

  function annotated(frames) {
    const each = (frame) => {
      if (frame.missing) return gone({ ...frame, missing: `frame ${frame.frame}: ${frame.missing}` });
      const figure = shot(frame, frame.name);
      figure.append(el("figcaption", {}, frame.name, absent(frame)));
      return figure;
    };
    const grid = el("div", { className: "annotated" });
    const more = some(grid, frames, MANY_FRAMES, each, "annotated frames");
    return el("section", {}, el("span", { className: "label" }, frames.length === 1 ? "annotated frame" : `${mm.number(frames.length)} annotated frames`), grid, more);
  }

  function sound(one) {
    const player = el("audio", { controls: true, preload: "metadata", src: mm.url(one.url) });
    const figure = el("figure", { className: "sound" }, player, caption(one));
    player.addEventListener("error", failed(one, figure, "This browser does not play it; other programs may."));
    return figure;
  }

  function columns() {
    const details = el("details", { className: "columns", id: "columns" }, el("summary", {}, "Columns"));
    let asked = false;
    details.addEventListener("toggle", async () => {
      if (!details.open || asked) return;
      asked = true;
      try {
        const held = await mm.source.columns(sheet.n);
        details.append(el("dl", {}, ...Object.entries(held).flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, ...value(text))])));
      } catch (error) {
        asked = false;
        details.append(gone({ kind: "column", missing: error.message }));
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

// Brings out one object: its masks stay, all others fade. A pinned one stays brought out.
mm.pinned = null;
mm.bringOut = (k, pin) => {
  if (pin) mm.pinned = k;
  for (const mask of document.querySelectorAll(".mask")) mask.classList.toggle("dim", k !== null && Number(mask.dataset.object) !== k);
  for (const chip of document.querySelectorAll(".region")) chip.setAttribute("aria-pressed", String(Number(chip.dataset.object) === mm.pinned && mm.pinned !== null));
};

// The large picture.
mm.enlarge = (shot) => {
  const dialog = document.getElementById("large");
  const stage = document.getElementById("stage");
  const shots = [...document.querySelectorAll("#sample .shot")];
  let at = shots.indexOf(shot);
  function show(index) {
    at = (index + shots.length) % shots.length;
    const one = shots[at].shown;
    const pile = mm.element("div", { className: "pile" });
    const picture = mm.element("img", { src: mm.url(one.url), alt: one.name });
    const fit = () => {
      pile.style.setProperty("--ratio", String(picture.naturalWidth / Math.max(1, picture.naturalHeight)));
      pile.classList.toggle("small", picture.naturalWidth <= 200);
    };
    picture.addEventListener("load", fit);
    if ((one.masks || []).length) picture.classList.add("stored");
    pile.append(picture, ...(one.masks || []).map((mask) => mm.element("img", { className: "mask", src: mm.url(mask.url), alt: "", "data-object": mask.object })));
    stage.replaceChildren(pile);
    document.getElementById("large-caption").textContent = `${one.name} · ${at + 1} of ${shots.length}`;
    for (const id of ["large-previous", "large-next"]) document.getElementById(id).disabled = shots.length < 2;
    mm.bringOut(mm.pinned, false);
  }
  mm.largeStep = (step) => show(at + step);
  show(at);
  dialog.showModal();
};
