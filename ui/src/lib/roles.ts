// What a role may do in a company. The server decides; this keeps buttons away that it would refuse.

export const ROLES: { role: Role; what: string }[] = [
  { role: 'viewer', what: 'Reads.' },
  { role: 'member', what: 'Also makes and runs automations, and uploads documents.' },
  { role: 'dev', what: 'Also sees what the company uses, and changes what others made.' },
  { role: 'admin', what: 'Also manages members and renames the company.' },
  { role: 'owner', what: 'Everything: hands the company over, exports and deletes it.' },
];

const ORDER = ['viewer', 'member', 'dev', 'admin', 'owner'] as const;
export type Role = (typeof ORDER)[number];

/** Whether somebody of this role may do what asks for `needed`: each role may do what those before it may. */
export function allows(role: string | null | undefined, needed: Role): boolean {
  const has = ORDER.indexOf(role as Role);
  return has >= ORDER.indexOf(needed);
}
