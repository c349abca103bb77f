/** Libraries that bring no types of their own. */
declare module "cytoscape-fcose" {
  const extension: import("cytoscape").Ext;
  export default extension;
}

declare module "plotly.js-cartesian-dist-min" {
  interface Plotly {
    react(node: HTMLElement, data: object[], layout: object, config: object): Promise<unknown>;
    purge(node: HTMLElement): void;
    toImage(node: HTMLElement, options: object): Promise<string>;
  }
  const plotly: Plotly;
  export default plotly;
}
