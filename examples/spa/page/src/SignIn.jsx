import { useState } from "react";
import { auth } from "./auth.js";

export function SignIn({ title = "Sign in" }) {
  const [error, setError] = useState("");

  async function submit(event) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const { error } = await auth.signIn.email({
      email: form.get("email"),
      password: form.get("password"),
      rememberMe: form.has("remember"),
    });
    setError(error ? error.message || "The server cannot be reached." : "");
  }

  return (
    <section className="card" aria-labelledby="who">
      <h2 id="who">{title}</h2>
      <form onSubmit={submit}>
        <label>E-mail address<input name="email" type="email" autoComplete="username" required /></label>
        <label>Password<input name="password" type="password" autoComplete="current-password" required /></label>
        <label className="check"><input name="remember" type="checkbox" /> Remember me on this device</label>
        <button id="sign-in" className="main">Sign in</button>
        {error && <p className="error" role="alert">{error}</p>}
      </form>
      <p className="note">Ada is <code>ada@example.com</code>, and her password is <code>analytical engine</code>.</p>
    </section>
  );
}
