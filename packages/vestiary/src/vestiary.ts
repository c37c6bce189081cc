export { type ClientOptions, type ClientSession, type ClientSource } from './client-session.js';
export { type Device, type LoginDevice } from './device.js';
export { type DeviceBoundOptions } from './device-bound-options.js';
export {
	ConfigError,
	DataError,
	LoginOutdatedError,
	LogoutError,
	OnceError,
	ResponseSentError,
	SessionEndedError,
	StoreError,
	TooManySessionsError,
	UpdateNestedError,
	VestiaryError,
	type ConfigErrorCode,
	type DataErrorCode,
	type LogoutErrorCode,
	type OnceErrorCode,
	type StoreErrorCode,
	type VestiaryErrorCode
} from './errors.js';
export { takeOver, type FormerSession, type FormerSessions } from './former.js';
export {
	fromCookieSession,
	fromIronSession,
	type CookieSessionOptions,
	type IronSessionEnd,
	type IronSessionOptions,
	type UnsealData
} from './former-libraries.js';
export { sveltekitSessionHandle, type SessionHandle } from './handle.js';
export type { TenantOptions } from './runtimes.js';
export { type Health } from './health.js';
export { type LoginOptions, type ProviderClaims } from './login-options.js';
export { MemoryStore, type MemoryStoreOptions } from './memory-store.js';
export { type OnceOptions } from './once.js';
export { type KeySet, type KeySource } from './provider-keys.js';
export {
	backChannelLogout,
	frontChannelLogout,
	type BackChannelOptions,
	type FrontChannelOptions,
	type LogoutEndpoint
} from './provider-logout.js';
export { type CookieRequest, type ReadOnlySession } from './read-only.js';
export type { Transformer } from './rich-values.js';
export { Session } from './session.js';
export { type CacheOptions } from './cache-options.js';
export { type SessionsPerUser } from './session-limit.js';
export { fromExpressStore, type ExpressStore } from './stores/express.js';
// Not by name: only so can applications merge a re-exported interface (`declare module 'vestiary'`).
export * from './registered.js';
export * from './slot-types.js';
export { type SchemaResult, type StandardSchema } from './standard-schema.js';
export { type TokenResponse } from './token-response.js';
export { type Refresh, type TokenOptions, type Tokens } from './tokens.js';
export * from './types.js';
export { sessions, type Sessions, type UserSession, type UserSessions } from './users.js';
export { loginPage, wayBack } from './way-back.js';
