import { renderMermaidSVG } from 'beautiful-mermaid';

/** A diagram as SVG, whose colours are those of the page. */
export function diagram(text: string): string {
	const svg = renderMermaidSVG(text, {
		bg: 'var(--paper)',
		fg: 'var(--ink)',
		line: 'var(--quiet)',
		accent: 'var(--accent)',
		muted: 'var(--quiet)',
		surface: 'var(--raised)',
		border: 'var(--rule)',
		font: 'inherit',
		transparent: true,
		padding: 8
	});
	const kind = text.startsWith('sequence') ? 'Sequence of the calls' : 'Flow chart';
	const labels = [...text.matchAll(/[[{(]([^\][{}()]+)[\]})]/g)].map(([, label = '']) =>
		label.replaceAll('<br/>', ' ')
	);
	const name = `${kind}: ${labels.join('; ')}`.replaceAll('"', '').replaceAll('<', '');
	// It loads a font from another host, which the page would have to wait for.
	const own = svg.replaceAll(/@import url\([^)]*\);?/g, '');
	return `<figure class="diagram" tabindex="0">${own.replace('<svg', `<svg role="img" aria-label="${name}"`)}</figure>`;
}
