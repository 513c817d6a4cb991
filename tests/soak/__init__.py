"""What takes long: hundreds of kills, tens of thousands of steps. ``make soak``; tests run short forms of each."""
