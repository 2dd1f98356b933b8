// A Flowfull client as the contract describes one: it keeps the token that it was
// given at login, sends it as X-Session-ID, and goes by the texts of errors.
export class FlowfullClient {
  constructor(baseURL, storage, headers = {}) {
    this.baseURL = baseURL;
    this.storage = storage;
    this.headers = headers;
  }

  async login(email, password) {
    const { body } = await this.request("POST", "/auth/login", { email, password });
    const token = body?.session_id ?? body?.sessionId ?? body?.data?.session_id ?? body?.data?.sessionId;
    if (!body?.success || !token) return { signedIn: false, error: body?.error };
    this.storage.setItem("session_id", token);
    this.keepUser(body.user ?? body.data?.user);
    return { signedIn: true, user: this.user() };
  }

  async validate(path = "/auth/validation") {
    return this.judge(await this.request("GET", path));
  }

  async refresh() {
    return this.judge(await this.request("POST", "/auth/refresh", {}));
  }

  async me() {
    const { status, body } = await this.request("GET", "/auth/me");
    return { status, user: body?.data, error: body?.error };
  }

  // What the server says changes nothing: this device forgets.
  async logout() {
    try {
      return await this.request("POST", "/auth/logout", {});
    } finally {
      this.forget();
    }
  }

  judge({ status, body }) {
    if (body?.success) {
      this.keepUser(body.user);
    } else if (body?.error === "Invalid session" || body?.error === "Session expired") {
      this.forget();
    }
    return { status, valid: body?.success === true, error: body?.error, expiresAt: body?.expires_at, user: body?.user };
  }

  keepUser(user) {
    if (user) this.storage.setItem("user", JSON.stringify(user));
  }

  user() {
    return JSON.parse(this.storage.getItem("user"));
  }

  forget() {
    this.storage.removeItem("session_id");
    this.storage.removeItem("user");
  }

  async request(method, path, body) {
    const token = this.storage.getItem("session_id");
    const response = await fetch(this.baseURL + path, {
      method,
      headers: { ...this.headers, "Content-Type": "application/json", ...(token && { "X-Session-ID": token }) },
      credentials: "include",
      body: body && JSON.stringify(body),
    });
    return { status: response.status, body: await response.json() };
  }
}
