// Hands sphinxcontrib-mermaid the copy of mermaid that `make docs` put beside this file. That copy is
// a classic script, which sets a global; it is loaded on pages with a diagram only.
await new Promise((done, failed) => {
    const script = document.createElement("script");
    script.src = new URL("mermaid.min.js", import.meta.url);
    script.onload = done;
    script.onerror = failed;
    document.head.append(script);
});
export default globalThis.mermaid;
