import { useAuthQuery } from "better-auth/client";
import { createAuthClient, useStore } from "better-auth/react";
import { computed } from "nanostores";

// The client asks for the session again when the tab is shown, when another tab
// signs out, after each change, and as often as it is told here.
export const auth = createAuthClient({ sessionOptions: { refetchInterval: 5 } });

// Whenever it has asked for the session, it also asks for the devices. Signed out,
// the answer is 401, and that empties the list.
const asked = computed(auth.$store.atoms.session, (session) => session.data);
const devices = useAuthQuery(asked, "/list-sessions", auth.$fetch, { method: "GET" });

export const useDevices = () => useStore(devices);
