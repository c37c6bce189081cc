/** What every group is told. */
export interface Context {
	/** Where the results go. */
	folder: string;
	/** Where something may be built. */
	build: string;
	/** Only whether it works, with as little as possible of everything. */
	smoke: boolean;
	/** Counts what was checked. */
	checked: (what: string) => void;
}
