const show = (id, text) => { document.getElementById(id).textContent = text };

// A refused stream is not tried again: without a session it would not help.
const events = new EventSource("/events");
events.addEventListener("time", e => show("events", JSON.parse(e.data)));
events.addEventListener("end", e => {
  const why = JSON.parse(e.data);
  show("events", why);
  if (why !== "back soon") events.close();
});
events.onerror = () => { if (events.readyState === EventSource.CLOSED) show("events", "signed out") };

const url = new URL("/socket", location.href);
url.protocol = url.protocol.replace("http", "ws");
const socket = new WebSocket(url);
socket.onmessage = e => show("socket", e.data);
socket.onclose = e => show("socket", e.reason || "closed");

document.getElementById("say").addEventListener("submit", e => {
  e.preventDefault();
  if (socket.readyState === WebSocket.OPEN) socket.send(e.target.elements.text.value);
});
