"""Every statement about models, their places, names, versions and origins, and the licences that were named for them."""
