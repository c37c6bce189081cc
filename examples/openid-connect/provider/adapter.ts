import type { Adapter, AdapterPayload } from 'oidc-provider';

/**
 * Keeps the provider's state until the process ends. The provider itself checks what has expired.
 */
export function memoryAdapter(): (model: string) => Adapter {
	const models = new Map<string, Map<string, AdapterPayload>>();
	return (model) => {
		const entries = models.get(model) ?? new Map<string, AdapterPayload>();
		models.set(model, entries);
		const findBy = async (key: 'uid' | 'userCode', value: string) =>
			[...entries.values()].find((payload) => payload[key] === value);
		return {
			upsert: async (id, payload) => void entries.set(id, payload),
			find: async (id) => entries.get(id),
			findByUid: (uid) => findBy('uid', uid),
			findByUserCode: (code) => findBy('userCode', code),
			destroy: async (id) => void entries.delete(id),
			consume: async (id) => {
				const payload = entries.get(id);
				if (payload) payload.consumed = Math.floor(Date.now() / 1000);
			},
			revokeByGrantId: async (grantId) => {
				for (const [id, payload] of entries) {
					if (payload.grantId === grantId) entries.delete(id);
				}
			}
		};
	};
}
