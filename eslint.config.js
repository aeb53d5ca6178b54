import js from "@eslint/js";
import globals from "globals";

const gradio = Object.fromEntries(
  ["MODULES", "element", "props", "server", "trigger", "watch"].map((name) => [name, "readonly"]),
);

export default [
  js.configs.recommended,
  {
    rules: {
      "eqeqeq": "error",
      "max-len": ["error", { code: 120 }],
      "no-var": "error",
      "prefer-const": "error",
    },
  },
  { files: ["assets/app/*.js"], languageOptions: { globals: globals.browser } },
  { files: ["assets/app/load.js"], languageOptions: { sourceType: "script", globals: gradio } },
  { files: ["tests/app/js/*.js"], languageOptions: { globals: globals.node } },
];
