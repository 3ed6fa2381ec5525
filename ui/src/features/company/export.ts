import { api } from '../../api';
import { ensureFresh } from '../../lib/stepup.svelte';
import { toastError } from '../../lib/toasts.svelte';

/** Downloads a company's export. A download cannot be asked twice: whoever exports shows first who they are. */
export async function downloadExport(company: string): Promise<void> {
  try {
    if (await ensureFresh()) location.assign(api.companyExport(company));
  } catch (cause) {
    toastError(cause);
  }
}
