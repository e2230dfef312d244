/**
 * The names of the rules that checkvalve adds itself, which no rule of the operator may have. Names with a port
 * (`mirrors:80`) are not listed: the operator's names have no colon.
 */
export const BUILT_IN_RULES = ['resolver', 'time', 'dhcp4', 'dhcp6', 'mirrors'] as const

export type BuiltInRule = (typeof BUILT_IN_RULES)[number] | `${string}:${number}`
