import Bowser from "bowser";
import { useRef } from "react";
import { auth, useDevices } from "./auth.js";
import { SignIn } from "./SignIn.jsx";

export function Devices({ session, attempt }) {
  const { data, error, isPending } = useDevices();
  const heading = useRef(null);

  // The button that was pressed goes with its device: keyboards need another place.
  const end = async (request) => {
    await attempt(request);
    heading.current?.focus();
  };

  if (error?.code === "SESSION_NOT_FRESH") {
    return <SignIn title="Sign in again to see your devices" />;
  }
  if (isPending || !data) {
    return <p role="status">One moment…</p>;
  }
  return (
    <section className="card" aria-labelledby="list">
      <h2 id="list" ref={heading} tabIndex={-1}>You are signed in on</h2>
      <ul aria-live="polite">
        {data.map((device) => <Device key={device.id} device={device} current={device.id === session.id} end={end} />)}
      </ul>
      {data.length > 1
        ? <button id="others" className="danger" onClick={() => end(auth.revokeOtherSessions())}>Sign out all other devices</button>
        : <p className="note">Sign in with a second browser, or in a private window, and it appears here.</p>}
    </section>
  );
}

function Device({ device, current, end }) {
  const name = nameOf(device.userAgent);
  return (
    <li>
      <div>
        <b>{name}</b> {current && <span className="badge">This device</span>}
        <p>
          {device.ipAddress || "Unknown address"} · signed in <Time at={device.createdAt} /> · last refreshed <Time at={device.updatedAt} />
        </p>
      </div>
      {!current && (
        <button onClick={() => end(auth.revokeSession({ token: device.token }))}>
          Sign out<span className="hidden"> {name}</span>
        </button>
      )}
    </li>
  );
}

function Time({ at }) {
  return <time dateTime={at.toISOString()}>{at.toLocaleString(undefined, { month: "short", day: "numeric", hour: "numeric", minute: "2-digit" })}</time>;
}

function nameOf(userAgent) {
  if (!userAgent) return "Unknown device";
  const { browser, os } = Bowser.parse(userAgent);
  return [browser.name || "Unknown browser", os.name].filter(Boolean).join(" on ");
}
