// Passkeys in the browser: what the server asks is handed to the authenticator, and what it answers is handed back.

import { api, ApiError, type NewPasskey, type PasskeyAnswer, type PasskeyCreation, type PasskeyQuestion } from '../api';

/** Why this page cannot use passkeys; null when it can. */
export function withoutPasskeys(): ApiError | null {
  if (byAddress(location.hostname)) {
    return trouble(`Passkeys belong to a name, and you opened this server by its address, ${location.hostname}.`, 'Open it by its name. If it has none yet, whoever runs it gives it one, with a certificate for it, and sets APP_BASE_URL.');
  }
  if (!('PublicKeyCredential' in window)) return trouble('This browser has no passkeys, or does not give them to this page.', 'Use a current browser, and open the server by https.');
  return null;
}

/** Whether a host is an address by its number. */
export function byAddress(host: string): boolean {
  return host.startsWith('[') || /^[\d.]+$/.test(host);
}

/** Has a passkey made, and returns what the server keeps it by. */
export async function createPasskey(asked: PasskeyCreation): Promise<Omit<NewPasskey, 'name'>> {
  const made = await attempt(() =>
    navigator.credentials.create({
      publicKey: {
        ...asked,
        challenge: decode(asked.challenge),
        user: { ...asked.user, id: decode(asked.user.id) },
        pubKeyCredParams: asked.pubKeyCredParams as PublicKeyCredentialParameters[],
        excludeCredentials: asked.excludeCredentials.map(descriptor),
        authenticatorSelection: asked.authenticatorSelection as AuthenticatorSelectionCriteria,
        attestation: 'none',
      },
    }),
  );
  const response = made.response as AuthenticatorAttestationResponse;
  return {
    id: made.id,
    client_data: encode(response.clientDataJSON),
    attestation_object: encode(response.attestationObject),
    transports: response.getTransports(),
  };
}

async function showPasskey(asked: PasskeyQuestion): Promise<PasskeyAnswer> {
  const shown = await attempt(() =>
    navigator.credentials.get({
      publicKey: { challenge: decode(asked.challenge), rpId: asked.rpId, timeout: asked.timeout, allowCredentials: asked.allowCredentials.map(descriptor), userVerification: 'required' },
    }),
  );
  const response = shown.response as AuthenticatorAssertionResponse;
  return {
    id: shown.id,
    client_data: encode(response.clientDataJSON),
    authenticator_data: encode(response.authenticatorData),
    signature: encode(response.signature),
    user_handle: response.userHandle ? encode(response.userHandle) : null,
  };
}

/** The second step of a sign-in, by a passkey. */
export async function signInByPasskey(secondStep: string): Promise<void> {
  await api.secondStepByPasskey(secondStep, await showPasskey(await api.askForPasskeyAtSignIn(secondStep)));
}

/** Shows once more who is there, by a passkey. */
export async function stepUpByPasskey(): Promise<void> {
  await api.stepUpByPasskey(await showPasskey(await api.askForPasskeyAgain()));
}

async function attempt(act: () => Promise<Credential | null>): Promise<PublicKeyCredential> {
  try {
    const credential = await act();
    if (credential instanceof PublicKeyCredential) return credential;
  } catch (cause) {
    throw explained(cause);
  }
  throw trouble('The browser answered without a passkey.', 'Try again.');
}

/** Browsers say little on purpose; what can be said of it, in words. */
function explained(cause: unknown): unknown {
  if (!(cause instanceof DOMException)) return cause;
  if (/certificate/i.test(cause.message)) {
    return trouble('The browser does not trust the certificate of this server, and gives it no passkeys.', 'Whoever runs the server puts a certificate in place that your computers trust.');
  }
  switch (cause.name) {
    case 'NotAllowedError':
      return trouble('No passkey was given: it was cancelled, or nothing was shown in time.', 'Try again, and answer the question of your browser or device.');
    case 'InvalidStateError':
      return trouble('This device holds a passkey of yours for this server already.', 'Use that one, or another device.');
    case 'SecurityError':
      return trouble(`The browser makes no passkeys for ${location.hostname}.`, 'Open the server by its own name, and by https.');
    default:
      return trouble(`The browser gave no passkey: ${cause.message}`, 'Try another device or browser.');
  }
}

function trouble(message: string, remedy: string): ApiError {
  return new ApiError(0, 'passkey', message, { remedy });
}

function descriptor(credential: PasskeyQuestion['allowCredentials'][number]): PublicKeyCredentialDescriptor {
  return { type: 'public-key', id: decode(credential.id), transports: credential.transports as AuthenticatorTransport[] };
}

/** Bytes as base64url without padding. */
export function encode(bytes: ArrayBuffer): string {
  const text = String.fromCharCode(...new Uint8Array(bytes));
  return btoa(text).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
}

export function decode(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text.replaceAll('-', '+').replaceAll('_', '/')), (character) => character.charCodeAt(0));
}
