// Lunr reads a leading "-" as "without", so a search for "--model.lr" would find all other pages.
document.addEventListener(
  "keyup",
  ({ target }) => {
    if (target.matches("[data-md-component=search-query]")) {
      const words = target.value.replace(/(^|\s)-+(?=\w)/g, "$1");
      if (words !== target.value) {
        target.value = words;
      }
    }
  },
  true,
);
