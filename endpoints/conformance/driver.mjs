// Runs published clients for the tests, which say what to do in lines of JSON and
// get a line for each. One process is one tab: the Better Auth client keeps its
// focus and broadcast managers in globals.
import { createInterface } from "node:readline";
import makeFetchCookie from "fetch-cookie";
import { CookieJar } from "tough-cookie";
import { FlowfullClient } from "./flowfull.mjs";

// What the client needs of a browser: it listens to these, and writes messages
// for other tabs into localStorage.
class Storage {
  #items = new Map();
  posted = [];
  getItem(key) { return this.#items.get(key) ?? null; }
  setItem(key, value) { this.#items.set(key, value); this.posted.push({ key, value }); }
  removeItem(key) { this.#items.delete(key); }
}
globalThis.window = new EventTarget();
globalThis.document = Object.assign(new EventTarget(), { visibilityState: "visible" });
globalThis.localStorage = new Storage();

const { createAuthClient } = await import("better-auth/client"); // once there is a window

const tabs = new Map();

const operations = {
  open({ tab, baseURL, sessionOptions, headers, jar: saved }) {
    const jar = saved ? CookieJar.deserializeSync(saved) : new CookieJar();
    const client = createAuthClient({
      baseURL, sessionOptions,
      fetchOptions: { headers, customFetchImpl: makeFetchCookie(fetch, jar) },
    });
    tabs.set(tab, { jar, client, states: [] });
  },
  async call({ tab, path, args }) {
    let owner, method = tabs.get(tab).client;
    for (const name of path) [owner, method] = [method, method[name]];
    return await Reflect.apply(method, owner, args); // method.apply would be a path to the client
  },
  watch({ tab }) {
    const t = tabs.get(tab);
    t.client.useSession.subscribe((state) => t.states.push(state));
  },
  states({ tab }) { return tabs.get(tab).states.map(({ refetch, ...state }) => state); },
  refetch({ tab }) { return tabs.get(tab).client.useSession.get().refetch(); },
  show() { document.dispatchEvent(new Event("visibilitychange")); },
  posted() { return localStorage.posted; },
  storage(message) { window.dispatchEvent(Object.assign(new Event("storage"), { key: message.key, newValue: message.value })); },
  jar({ tab }) { return tabs.get(tab).jar.serializeSync(); },
  cookies({ tab, url }) { return tabs.get(tab).jar.getCookiesSync(url); },

  openFlowfull({ tab, baseURL, headers }) {
    tabs.set(tab, { client: new FlowfullClient(baseURL, new Storage(), headers) });
  },
  stored({ tab, key }) { return tabs.get(tab).client.storage.getItem(key); },
  store({ tab, key, value }) { tabs.get(tab).client.storage.setItem(key, value); },
};

// tagged tells Date and string apart, which are one in JSON.
function tagged(key, value) {
  if (this[key] instanceof Date) return { $date: this[key].toISOString() };
  return value;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { do: operation, ...request } = JSON.parse(line);
  let answer;
  try {
    answer = { result: await operations[operation](request) };
  } catch (error) {
    answer = { threw: `${error.name}: ${error.message}` };
  }
  process.stdout.write(JSON.stringify(answer, tagged) + "\n");
}
process.exit(); // whatever is still polling
