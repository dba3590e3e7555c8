export default class uPlot {
  constructor(options: any, data: (number | null | undefined)[][], parent?: HTMLElement);
  setData(data: (number | null | undefined)[][], resetScales?: boolean): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
  readonly root: HTMLElement;
}
