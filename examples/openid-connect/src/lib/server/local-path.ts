const HERE = 'http://here.invalid';

/** `next` if it is a path of this site, as a browser would read it; else the start page. */
export function localPath(next: string | null): string {
	if (!next?.startsWith('/')) return '/';
	const url = URL.parse(next, HERE);
	if (url?.origin !== HERE) return '/';
	const path = url.pathname + url.search + url.hash;
	// `/.//elsewhere.example` becomes an address only now.
	return path.startsWith('//') ? '/' : path;
}
