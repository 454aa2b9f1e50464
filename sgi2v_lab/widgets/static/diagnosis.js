// What went wrong in a run, and what to try: a list under the video.
import { h, icon } from "./common.js";

const SEVERITY = { severe: ["error", "Severe"], moderate: ["warning", "Moderate"], hint: ["info", "A hint"] };

/** One finding: how bad, what, by which number, its evidence (which a press enlarges), and what to try. */
function findingItem(finding) {
  const [mark, word] = SEVERITY[finding.severity];
  const evidence = h("button", {
    type: "button", class: "st-evidence", "aria-expanded": "false", "aria-label": `Evidence, enlarge: ${finding.sentence}`, title: "Enlarge the evidence", "data-testid": "evidence",
    onclick: () => {
      const large = evidence.getAttribute("aria-expanded") !== "true";
      evidence.setAttribute("aria-expanded", String(large));
      evidence.title = large ? "Make the evidence small again" : "Enlarge the evidence";
      evidence.setAttribute("aria-label", `Evidence, ${large ? "make small" : "enlarge"}: ${finding.sentence}`);
    },
  }, finding.picture ? h("img", { src: finding.picture, alt: "" }) : null);
  return h(
    "li", { class: `st-finding is-${finding.severity}`, "data-testid": "finding", "data-kind": finding.kind },
    h("span", { class: "st-severity" }, icon(mark), word),
    h("div", { class: "st-what" }, h("strong", {}, finding.sentence), h("span", { class: "st-number-said" }, finding.number), h("p", {}, h("em", {}, "Try: "), finding.advice)),
    finding.picture ? evidence : null,
  );
}

/** All that was found in a run; `title` says which run is meant. */
export function diagnosisSection({ diagnosis, title }) {
  const known = Boolean(diagnosis?.findings);
  const found = known ? diagnosis.findings : [];
  const unjudged = known ? diagnosis.unjudged : [];
  const count = known ? `${found.length || "nothing"} found` : "this run was not judged";
  return [
    h("div", { class: "st-title" }, h("h4", {}, title), h("span", { class: "st-count" }, count)),
    found.length ? h("ul", { class: "st-findings" }, found.map(findingItem)) : h("p", { class: "st-empty" }, known ? "Nothing was found that went wrong." : "Runs made by an earlier version have no diagnosis: generate it again."),
    unjudged.length ? h("details", { class: "st-unjudged" }, h("summary", {}, `Not judged: ${unjudged.length}`), h("ul", {}, unjudged.map(({ reason }) => h("li", {}, `${reason[0].toUpperCase()}${reason.slice(1)}.`)))) : "",
  ];
}
