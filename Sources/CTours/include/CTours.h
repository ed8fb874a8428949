// The tours of scripts/tours as text in the program, so that they are there wherever it runs.
#ifndef SDLAB_TOURS_H
#define SDLAB_TOURS_H

// How many tours there are.
int sdlab_tour_count(void);

// The name of a tour, that of its file without `.sdl`; NULL for an index that no tour has.
const char *sdlab_tour_name(int index);

// The text of a tour, UTF-8; NULL for an index that no tour has.
const char *sdlab_tour_text(int index);

#endif
