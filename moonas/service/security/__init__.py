"""What stands before every route, pages and callbacks of pages included: who asks, from where, how much, and what goes back."""
