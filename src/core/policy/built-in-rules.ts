/**
 * Names of the rules that checkvalve adds itself; no rule of the operator may have one of them. Names with a port, such as
 * `mirrors:80`, need no place here: a colon is in no name of the operator's.
 */
export const BUILT_IN_RULES = ['resolver', 'time', 'dhcp4', 'dhcp6', 'mirrors'] as const

export type BuiltInRule = (typeof BUILT_IN_RULES)[number] | `${string}:${number}`
