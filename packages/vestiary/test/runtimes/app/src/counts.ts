/** How often the store was read since the server started. */
export const counts = { reads: 0 };
