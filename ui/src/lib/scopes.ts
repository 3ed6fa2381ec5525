// What an API key may be used for, in the words of the interface.

export const SCOPES = [
  { scope: 'read', what: 'Read automations, runs, reports and documents' },
  { scope: 'recall', what: 'Search what was collected, and open what citations point to' },
  { scope: 'chat', what: 'Hold conversations in your name' },
  { scope: 'automations', what: 'Make, change, run and delete automations' },
  { scope: 'documents', what: 'Upload and delete documents' },
  { scope: 'usage', what: 'Read what the company used' },
] as const;

export type Scope = (typeof SCOPES)[number]['scope'];
