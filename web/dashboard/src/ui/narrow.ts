import { MediaQuery } from 'svelte/reactivity'

/** Whether the window is as narrow as a telephone: the same limit as in the styles. */
export const narrow = new MediaQuery('max-width: 719px')
