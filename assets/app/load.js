/* Gradio runs this text as the body of a function of `element`, `props`, `server`, `trigger` and `watch`; MODULES holds
   the source of every ES module of this folder, by file name. The modules run from memory: no address depends on where
   the page is mounted, and nothing more is asked of the server. */

const urls = {};
const link = (name) =>
  (urls[name] ??= URL.createObjectURL(
    new Blob(
      [MODULES[name].replace(/(?<= from ")\.\/([^"]+)/g, (_, file) => link(file)), "\n//# sourceURL=" + name],
      { type: "text/javascript" },
    ),
  ));
const start = props.value;
const viewer = import(link("viewer.js")).then(({ openViewer }) => openViewer({ element, start, server, trigger }));
watch("value", () => {
  const answer = props.value;
  viewer.then((receive) => receive(answer));
});
