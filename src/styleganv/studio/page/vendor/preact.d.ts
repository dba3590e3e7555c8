export type VNode = { type: unknown; props: any };
export function h(type: any, props: any, ...children: any[]): VNode;
export function render(node: VNode, parent: Element): void;
export const Fragment: unique symbol;
