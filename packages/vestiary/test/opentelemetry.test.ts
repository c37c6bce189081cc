import { metrics, trace } from '@opentelemetry/api';
import {
	AggregationTemporality,
	InMemoryMetricExporter,
	MeterProvider,
	PeriodicExportingMetricReader
} from '@opentelemetry/sdk-metrics';
import {
	BasicTracerProvider,
	InMemorySpanExporter,
	SimpleSpanProcessor
} from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { Session } from '../src/index.js';
import { opentelemetry } from '../src/opentelemetry.js';
import { CountingStore, testEvent } from './event.js';

let spans: InMemorySpanExporter;
let measured: InMemoryMetricExporter;
let reader: PeriodicExportingMetricReader;

beforeEach(() => {
	spans = new InMemorySpanExporter();
	measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
	reader = new PeriodicExportingMetricReader({ exporter: measured });
	trace.setGlobalTracerProvider(
		new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] })
	);
	metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));
});

afterEach(async () => {
	await reader.shutdown();
	trace.disable();
	metrics.disable();
});

test('OpenTelemetry receives store operations and events, and no secret', async () => {
	const store = new CountingStore();
	const options = { secret: 'a secret that is long enough', store, telemetry: opentelemetry() };
	const { event, cookies } = testEvent();
	const session = await Session.initialize(event, options);
	await session.setData({ user: 'canary' });
	await session.save();
	const { id } = session;
	const cookie = `connect.sid=${cookies[0]?.value ?? ''}`;
	await Session.initialize(testEvent(cookie).event, options);
	await Session.initialize(testEvent('connect.sid=forged').event, options);
	store.failure = new Error(`redis://:password@host/${id}`);
	await expect(Session.initialize(testEvent(cookie).event, options)).rejects.toThrow();

	const finished = spans.getFinishedSpans();
	expect(finished.map(({ name }) => name)).toEqual([
		'session store write',
		'session store read',
		'session store read'
	]);
	expect(finished[2]?.attributes).toEqual({ operation: 'read', 'error.type': 'store_failed' });
	await reader.forceFlush();
	const metric = (name: string): unknown[] | undefined =>
		measured
			.getMetrics()
			.flatMap(({ scopeMetrics }) => scopeMetrics.flatMap((scope) => scope.metrics))
			.find(({ descriptor }) => descriptor.name === name)
			?.dataPoints.map(({ attributes }) => attributes);
	expect(metric('vestiary.session.events')).toEqual([
		{ type: 'created' },
		{ type: 'rejected' },
		{ type: 'store_failed' }
	]);
	expect(metric('vestiary.store.duration')).toEqual([
		{ operation: 'write' },
		{ operation: 'read' },
		{ operation: 'read', 'error.type': 'store_failed' }
	]);
	const all = JSON.stringify([
		finished.map(({ name, attributes, events, status }) => [name, attributes, events, status]),
		measured.getMetrics()
	]);
	for (const secret of [id, 'canary', 'password']) expect(all).not.toContain(secret);
});
