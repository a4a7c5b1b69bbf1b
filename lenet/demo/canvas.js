// The canvas. Gradio gives `element`, and `props`, whose value it sends to the server when it is set.
const canvas = element.querySelector("canvas");
const pen = canvas.getContext("2d", { willReadFrequently: true });
const PAUSE = 80; // milliseconds between two looks at a drawing that goes on
let last = null; // where the pen is, while it is down
let soon = null; // the timer of the next look

function look() {
  clearTimeout(soon);
  soon = null;
  props.value = canvas.toDataURL("image/png");
}

function wipe() {
  clearTimeout(soon);
  soon = last = null;
  pen.fillStyle = "#000";
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

function place(event) {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
}

function draw(to) {
  pen.beginPath();
  pen.moveTo(...last);
  pen.lineTo(...to);
  pen.stroke();
  last = to;
  soon ??= setTimeout(look, PAUSE);
}

pen.strokeStyle = "#fff";
pen.lineCap = pen.lineJoin = "round";
pen.lineWidth = Number(canvas.dataset.ink);
wipe();

canvas.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  canvas.setPointerCapture(event.pointerId);
  last = place(event);
  draw(last);
});
canvas.addEventListener("pointermove", (event) => {
  if (last === null) return;
  const between = event.getCoalescedEvents();
  for (const each of between.length ? between : [event]) draw(place(each));
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, () => (last = null));
}
element.querySelector(".clear").addEventListener("click", () => {
  wipe();
  props.value = "";
});
for (const example of element.querySelectorAll(".examples img")) {
  example.parentElement.addEventListener("click", () => {
    wipe();
    pen.drawImage(example, 0, 0, canvas.width, canvas.height);
    look();
  });
}
