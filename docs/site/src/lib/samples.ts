/** Makes a choice of language or version count for all samples, and remembers it; adds buttons that copy. */
export function enhanceSamples(): void {
	for (const kind of ['language', 'kit']) choose(kind, localStorage.getItem(`vestiary-${kind}`));
	for (const sample of document.querySelectorAll('figure.sample')) {
		if (sample.querySelector('button')) continue;
		const button = document.createElement('button');
		button.type = 'button';
		button.className = 'copy';
		button.textContent = 'Copy';
		button.addEventListener('click', () => {
			const shown = [...sample.querySelectorAll('pre')].find(
				(one) => one.offsetParent !== null
			);
			void navigator.clipboard.writeText(shown?.textContent ?? '').then(() => {
				button.textContent = 'Copied';
				setTimeout(() => (button.textContent = 'Copy'), 1_500);
			});
		});
		sample.append(button);
	}
	for (const input of document.querySelectorAll<HTMLInputElement>('input[data-choice]'))
		input.onchange = () => {
			const kind = input.dataset.choice ?? '';
			localStorage.setItem(`vestiary-${kind}`, input.value);
			// The sample that was clicked stays where it is, whatever becomes of those above it.
			const before = input.getBoundingClientRect().top;
			choose(kind, input.value);
			scrollBy({ top: input.getBoundingClientRect().top - before, behavior: 'instant' });
		};
}

function choose(kind: string, value: string | null): void {
	if (value === null) return;
	const inputs = document.querySelectorAll<HTMLInputElement>(`input[data-choice="${kind}"]`);
	for (const input of inputs) if (input.value === value) input.checked = true;
}
