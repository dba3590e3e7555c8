type Data = (number | null | undefined)[][];
export default class uPlot {
  constructor(options: any, data: Data, parent?: HTMLElement);
  static join(tables: Data[]): Data;
  setData(data: Data, resetScales?: boolean): void;
  setScale(key: string, limits: { min: number; max: number }): void;
  setSize(size: { width: number; height: number }): void;
  redraw(rebuildPaths?: boolean, recalcAxes?: boolean): void;
  destroy(): void;
  readonly root: HTMLElement;
}
