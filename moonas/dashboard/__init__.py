"""Pages that show what a database holds, live: a Dash app over `report`'s figures, which only reads. Free of torch."""
