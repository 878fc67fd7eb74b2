/*
 * fuzzy.h - how well a few typed letters name something: for the palette.
 *
 * The letters have to be in the name, in their order; best where they begin words and stand
 * together. Small letters find both cases. Pure.
 */
#ifndef KILN_TUI_FUZZY_H
#define KILN_TUI_FUZZY_H

/* The higher the better; negative: the pattern is not in the text. An empty pattern is in every
 * text. Bytes beyond the first 255 of either are not looked at. */
int fuzzy_score(const char *pattern, const char *text);

#endif
