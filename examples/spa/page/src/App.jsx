import { auth } from "./auth.js";
import { Devices } from "./Devices.jsx";
import { SignIn } from "./SignIn.jsx";

export function App() {
  const { data, error, isPending, refetch } = auth.useSession();

  // What fails has its reason in the session: it has ended, or nobody can tell.
  const attempt = async (request) => {
    const { error } = await request;
    if (error) refetch();
  };

  return (
    <>
      <header>
        <b>session example</b>
        {data && (
          <span>
            {data.user.name} <button id="sign-out" onClick={() => attempt(auth.signOut())}>Sign out</button>
          </span>
        )}
      </header>
      <main>
        <h1>Your devices</h1>
        {error && <Outage refetch={refetch} />}
        {data ? <Devices session={data.session} attempt={attempt} /> : isPending ? <p role="status">One moment…</p> : !error && <SignIn />}
      </main>
      <footer>
        <p>
          The npm package <a href="https://www.npmjs.com/package/better-auth">better-auth</a>, unchanged, with a Go server:{" "}
          <a href="https://github.com/updateage/session">github.com/updateage/session</a>.
        </p>
      </footer>
    </>
  );
}

// While the server cannot be asked, nobody is signed out: what was known stays.
function Outage({ refetch }) {
  return (
    <p className="notice" role="alert">
      The server cannot be reached at the moment. <button id="again" onClick={() => refetch()}>Try again</button>
    </p>
  );
}
