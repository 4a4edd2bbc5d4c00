"use strict";

const find = (id) => document.getElementById(id);

function gallery() {
  const filter = find("filter"); // none where there is nothing to filter by
  const views = [...document.querySelectorAll("input[name=view]")];

  const update = () => {
    const view = views.find((input) => input.checked).value;
    for (const list of document.querySelectorAll(".cards")) list.hidden = list.id !== view;
    const cards = [...find(view).children];
    for (const card of cards) {
      card.hidden = Boolean(filter?.value) && !card.dataset.keys.split(" ").includes(filter.value);
    }
    find("shown").textContent = `${cards.filter((card) => !card.hidden).length} of ${cards.length} images`;
  };

  for (const control of [...views, filter]) control?.addEventListener("change", update);
  for (const title of document.querySelectorAll(".without-script")) title.classList.add("unseen");
  find("gallery-controls").hidden = false;
  update();
}

gallery();
