import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// `npm run dev` reloads the page as you edit it, and leaves /api to the Go program.
export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/api": "http://127.0.0.1:8080" } },
});
