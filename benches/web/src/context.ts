/** The arguments of every group. */
export interface Context {
	/** The folder for results. */
	folder: string;
	/** The folder for builds. */
	build: string;
	/** Whether to check only that everything works, with as little as possible of everything. */
	smoke: boolean;
	/** Counts a check. */
	checked: (what: string) => void;
}
