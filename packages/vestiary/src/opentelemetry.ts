import './server-only.js';

import { metrics, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';

import { VestiaryError } from './errors.js';
import type { Telemetry } from './types.js';

const NAME = 'vestiary';

/**
 * Reports sessions to OpenTelemetry, for the option `telemetry`: a span and a duration for each store operation, and
 * a counter of events. It reports no secret, session ID, data or user.
 *
 * ```ts
 * import { sveltekitSessionHandle } from 'vestiary';
 * import { opentelemetry } from 'vestiary/opentelemetry';
 *
 * export const handle = sveltekitSessionHandle({ secret, telemetry: opentelemetry() });
 * ```
 *
 * It needs `@opentelemetry/api`, and does nothing until the application registers an SDK.
 *
 * | instrument                 | kind                 | attributes                |
 * | -------------------------- | -------------------- | ------------------------- |
 * | `vestiary.session.events`  | counter              | `type`, as in `onEvent`   |
 * | `vestiary.store.duration`  | histogram, seconds   | `operation`, `error.type` |
 * | `session store read`, …    | span                 | `operation`, `error.type` |
 */
export function opentelemetry(): Telemetry {
	const tracer = trace.getTracer(NAME);
	const meter = metrics.getMeter(NAME);
	const events = meter.createCounter('vestiary.session.events', {
		description: 'Session events'
	});
	const durations = meter.createHistogram('vestiary.store.duration', {
		description: 'Duration of session store operations',
		unit: 's'
	});
	return {
		event: (type) => {
			events.add(1, { type });
		},
		store: async (operation, run) => {
			const options = { kind: SpanKind.CLIENT, attributes: { operation } };
			return tracer.startActiveSpan(`session store ${operation}`, options, async (span) => {
				const began = performance.now();
				let failed = {};
				try {
					return await run();
				} catch (error) {
					// The message of a store's own error may contain an address and a password.
					const type = error instanceof VestiaryError ? error.code : 'store_failed';
					failed = { 'error.type': type };
					span.setAttributes(failed);
					span.setStatus({ code: SpanStatusCode.ERROR });
					throw error;
				} finally {
					durations.record((performance.now() - began) / 1_000, {
						operation,
						...failed
					});
					span.end();
				}
			});
		}
	};
}
